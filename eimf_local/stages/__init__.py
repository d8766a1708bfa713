"""The stages of the method: each one function from artefacts to an artefact. Read this table first.

========================  ===========================================  ====================  =======================
command                   function                                     reads                 writes
========================  ===========================================  ====================  =======================
prepare                   ``datasets.prepare_dataset``                 raw logs and titles   ``dataset``
(inside the next three)   ``datasets.embed_items``                     dataset, encoder      ``text``, in the dataset
infer-interests           ``interests.infer``                          dataset, GGUF         ``interests``
import-interests          ``interests.import_file``                    dataset, JSONL        ``interests``
train                     ``training.train``                           dataset, interests    ``run``
evaluate                  ``evaluation.evaluate_runs``                 runs                  (a table)
recommend                 ``serving.recommend.Recommender``            run                   (recommendations)
reproduce                 ``reproduction.run.reproduce``               all of the above      grid.json, report.*
========================  ===========================================  ====================  =======================

Imports point one way: cli -> reproduction -> stages -> training, serving, evaluation -> alignment -> esim, ibim ->
data.
"""
