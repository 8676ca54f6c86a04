"""What the runs of every engine have in common, whether children of this machine or pods of a cluster.

conventions  what a training finds: SageMaker's folders, variables, arguments
staging      inputs, verified while they are fetched
results      what it left: checked, uploaded, announced
machine      what is recorded of the machine
documents    a run as JSON
patience     waiting for what may come back
"""
