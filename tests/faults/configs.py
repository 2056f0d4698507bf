"""Recipes, overrides and settings that cannot be used."""

from tests.faults.case import Case

RECIPE = {"t.yaml": "defaults: [base, _self_]\n"}
TRAIN = "train t.yaml run_dir=x"

WORDS: list[tuple[str, str]] = [
    ("model.hiden_size=3", "there is no key 'model.hiden_size' to override; did you mean 'model.hidden_size'?"),
    ("trainig.epochs=3", "did you mean 'training.epochs'?"),
    ("+model.hiden_size=3", "unknown key 'model.hiden_size'; did you mean 'hidden_size'?"),
    ("model.hidden_size=wide", "model.hidden_size must be a whole number, not 'wide'"),
    ("training.epochs=1.5", "training.epochs must be a whole number, not 1.5"),
    ("data.workers=100000", "data.workers=100000 must be 0 to 256"),
    ("training.epochs=0", "training.epochs=0 must be at least 1"),
    ("training.dry_run=3", "training.dry_run must be true or false, not 3"),
    ("optimizer.learning_rate=nan", "optimizer.learning_rate must be a finite number"),
    ("augment.speeds=fast", "augment.speeds must be a list, not 'fast'"),
    ("model=transfromer", "there is no 'transfromer' in the group 'model'; did you mean 'transformer'?"),
    ("model=hmm", "there is no 'hmm' in the group 'model'; choices: bilstm, bilstmp, conformer, gru, "),
    ("features=logmel8", "there is no 'logmel8' in the group 'features'; did you mean 'logmel8k'?"),
    ("schedule.name=cosin", "schedule.name='cosin' is unknown; did you mean 'cosine'?"),
    ("schedule.plateau_patience=0", "schedule.plateau_patience=0 must be at least 1"),
    ("stages=[trian]", "stages='trian' is unknown; did you mean 'train'?"),
    ("stages=train", "stages must be a list, not 'train'"),
    ("run_dir=null", "run_dir is not set; give a folder for this run (run_dir=runs/NAME)"),
    ("seed='${nowhere}'", "nowhere"),
    ("model=null", "a group of keys takes the name of one of its files, e.g. model=lstm"),
    ("=3", "a group of keys takes the name of one of its files, e.g. model=lstm"),
    ("decoding.hotwords={a: 1}", "'decoding.hotwords' to override, which belongs to decoding=beam"),
]  # fmt: skip

RECIPES: list[tuple[str, str, str]] = [
    ("a recipe that is no YAML", "defaults: [base\n", "not YAML"),
    ("a recipe of an unknown group", "defaults: [base, nothing]\n", "nothing"),
    ("a recipe with an unknown key", "defaults: [base, _self_]\nmodel: {hiden: 1}\n", "hiden"),
    ("a recipe that is a list", "- a\n", "config: "),
    ("a recipe with a number of 5,000 digits", f"defaults: [base, _self_]\nseed: {'9' * 5_000}\n", "more digits"),
]  # fmt: skip

ENVIRONMENTS: list[tuple[str, str, str]] = [
    ("train", "RANK=abc", "environment: RANK='abc' is no whole number from 0 on"),
    ("train", "RANK=1", "environment: RANK=1 is not below WORLD_SIZE=1"),
    ("train", "WORLD_SIZE=2 RANK=2", "environment: RANK=2 is not below WORLD_SIZE=2"),
    ("train", "WORLD_SIZE=0", "environment: WORLD_SIZE='0' is no whole number from 1 on"),
    ("train", "WORLD_SIZE=2 MASTER_ADDR=", "environment: WORLD_SIZE=2, RANK=0: "),
    ("train", "LOCAL_RANK=x", "environment: LOCAL_RANK='x' is no whole number from 0 on"),
    ("transcribe", "LOCAL_WORLD_SIZE=0", "environment: LOCAL_WORLD_SIZE='0' is no whole number from 1 on"),
    ("transcribe", "LOCAL_WORLD_SIZE=-1", "environment: LOCAL_WORLD_SIZE='-1' is no whole number from 1 on"),
]
MANIFEST = {"in/train.jsonl": '{"id": "a", "audio": "../good.wav", "duration_s": 0.25, "text": "a"}'}
OF_VERB = {"train": f"{TRAIN} data.dir=in", "transcribe": "transcribe model good.wav"}

CASES = [
    *(
        Case(
            f"{variables} in the environment",
            "config",
            OF_VERB[verb],
            (says, "torchrun"),
            RECIPE | MANIFEST,
            leaves="x",
            environment=dict(one.split("=") for one in variables.split()),
        )
        for verb, variables, says in ENVIRONMENTS
    ),
    *(Case(f"the override {word}", "config", f'{TRAIN} "{word}"', ("config: ", says), RECIPE) for word, says in WORDS),
    *(Case(given, "config", TRAIN, says, {"t.yaml": text}) for given, text, says in RECIPES),
    Case(
        "an override without its value",
        "config",
        f"{TRAIN} model.hidden_size",
        "'model.hidden_size' has no '='",
        RECIPE,
    ),
    Case(
        "an override with a number of 5,000 digits",
        "config",
        f"{TRAIN} seed={'9' * 5_000}",
        "more digits than can be read",
        RECIPE,
    ),
    Case(
        "a sweep whose configuration is to be printed",
        "config",
        f"{TRAIN} -m seed=1,2 --cfg job",
        "-m (a sweep), --cfg and --info are each given alone",
        RECIPE,
    ),
    Case(
        "an override with two equals signs",
        "config",
        f"{TRAIN} data.normalizer=a=b",
        "cannot be read as key=value",
        RECIPE,
    ),
    Case(
        "a recipe that is not called yaml",
        "usage",
        "train t.yml run_dir=x",
        "ends in .yaml",
        {"t.yml": "defaults: [base]"},
    ),
    Case("no such recipe", "usage", "train absent run_dir=x", "absent"),
    Case("a folder in place of a recipe", "usage", "run in", "is a folder; name one of its recipes", {"in/a.yaml": ""}),
    Case(
        "a run whose configuration is no YAML",
        "model-damaged",
        "train run",
        "run/config.yaml",
        {"run/config.yaml": "a: ["},
    ),
    Case(
        "a run whose configuration is a list",
        "model-damaged",
        "train run",
        "is not a mapping",
        {"run/config.yaml": "- 1\n"},
    ),
    Case(
        "a run with a key of another version",
        "config",
        "train run",
        "nonsense",
        {"run/config.yaml": "run_dir: run\nnonsense: 1\n"},
    ),
    Case(
        "a training without a manifest",
        "data",
        "train t.yaml run_dir=x data.dir=in",
        "train.jsonl: no such manifest",
        {**RECIPE, "in/a": ""},
        leaves="x",
    ),
    Case(
        "a normaliser of training that is none",
        "config",
        "train t.yaml run_dir=x data.dir=in data.normalizer=basik",
        "basik",
        RECIPE | MANIFEST,
        leaves="x",
    ),
]
