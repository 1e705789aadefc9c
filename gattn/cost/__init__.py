"""What breadth costs, before any of it is done: pairs, seconds and bytes, four ways.

from gattn.cost import advice, predict

for sentence in advice(predict(edge_index, [1, 2, 3], num_nodes), limit=8e9):
    print(sentence)
"""

from gattn.cost.advice import advice as advice
from gattn.cost.prediction import WAYS as WAYS
from gattn.cost.prediction import Breadth as Breadth
from gattn.cost.prediction import Costs as Costs
from gattn.cost.prediction import Way as Way
from gattn.cost.prediction import predict as predict
