from .columns import Column as Column
from .conversion import ConversionReport as ConversionReport
from .conversion import convert as convert
from .dataset import Dataset as Dataset
from .dataset import open_dataset as open_dataset
from .errors import EchoanomError as EchoanomError
from .inspection import Inspection as Inspection
from .inspection import inspect as inspect
from .normalization import Normalization as Normalization
from .options import EventOptions as EventOptions
from .options import ModelOptions as ModelOptions
from .options import ShardOptions as ShardOptions
from .options import StackOptions as StackOptions
from .options import TableOptions as TableOptions
from .options import TrainOptions as TrainOptions
from .options import WindowOptions as WindowOptions
from .reader import IndexedReader as IndexedReader
from .scores import ScoreTable as ScoreTable
from .scores import read_scores as read_scores
from .scores import write_scores as write_scores
from .thresholds import Calibration as Calibration
from .verification import Verification as Verification
from .verification import verify as verify

__version__: str
