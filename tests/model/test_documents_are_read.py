"""SSM documents as they stand in the world: versions, schema 1.2 and 2.x, sloppy keys and types."""

import hashlib

import pytest

from reconciler.model.document import Document, DocumentVersions, Parameter
from tests.model.reading import DOCUMENT, errors, lints, reads

JSON = '{"schemaVersion": "1.2", "runtimeConfig": {"a": {}}}'


def document(text: str, file: str = "documents/Abc.yaml") -> Document:
    (versions,) = reads({file: text}).documents.values()
    (one,) = versions.versions.values()
    return one


def parameter(definition: str) -> Parameter:
    return document(
        f"schemaVersion: '2.2'\nparameters: {{p: {definition}}}\nmainSteps: [{{action: a, name: b}}]\n"
    ).parameters["p"]


def folder(**files: str) -> DocumentVersions:
    (found,) = reads(
        {f"documents/Abc/{name.removeprefix('v')}": text for name, text in files.items()}
    ).documents.values()
    return found


@pytest.mark.parametrize("version", ["1.0", "1.2"])
def test_old_documents_have_a_step_for_each_plugin(version: str) -> None:
    old = document(
        f"schemaVersion: '{version}'\nruntimeConfig:\n  aws:psModule:\n    properties: {{id: a, runCommand: [x]}}\n"
        "  aws:runShellScript:\n    properties:\n      - {id: b, runCommand: [y]}\n      - {id: c, runCommand: [z]}\n"
        "  aws:cloudWatch: {settings: {startType: Disabled}, properties: '{{ p }}'}\n  aws:x: {properties: null}\n"
    )
    assert [(step.name, step.action, step.line) for step in old.steps] == [
        ("aws:psModule", "aws:psModule", 3),
        ("aws:runShellScript", "aws:runShellScript", 5),
        ("aws:cloudWatch", "aws:cloudWatch", 9),
        ("aws:x", "aws:x", 10),
    ]
    assert [step.inputs for step in old.steps] == [
        {"id": "a", "runCommand": ["x"]},
        ({"id": "b", "runCommand": ["y"]}, {"id": "c", "runCommand": ["z"]}),
        {"properties": "{{ p }}"},
        {},
    ]


def test_what_the_service_writes_as_null_is_not_there() -> None:
    new = document(
        '{"schemaVersion": "2.2", "description": null, "parameters": null, "runtimeConfig": null, "mainSteps":'
        ' [{"action": "aws:runShellScript", "name": "a", "precondition": null, "settings": null, "inputs": {"x": "y"}}]}',
        "documents/Abc.json",
    )
    assert [(step.name, step.precondition) for step in new.steps] == [("a", None)]
    old = document(
        '{"schemaVersion": "1.2", "mainSteps": null, "runtimeConfig":'
        ' {"aws:runShellScript": {"settings": null, "precondition": null, "properties": [{"id": "b"}]}}}',
        "documents/Abc.json",
    )
    assert [(step.action, step.precondition) for step in old.steps] == [("aws:runShellScript", None)]


@pytest.mark.parametrize("version", ["1.2", "2.2"])
def test_a_null_in_the_place_of_the_steps_is_told_where_it_stands(version: str) -> None:
    key = "runtimeConfig" if version == "1.2" else "mainSteps"
    (problem,) = errors({"documents/Abc.yaml": f"schemaVersion: '{version}'\ndescription: x\n{key}: null\n"})
    assert (problem.line, problem.message.split(":")[0]) == (3, key)


@pytest.mark.parametrize("written", ["2.2", "'2.2'", "2.0", "'2.0.1'", '"2.0.3"'])
def test_a_schema_version_may_be_a_number(written: str) -> None:
    assert document(DOCUMENT.replace("'2.2'", written)).schema_version == written.strip("'\"")


def test_a_document_is_known_by_its_bytes() -> None:
    assert document(DOCUMENT).digest == hashlib.sha256(DOCUMENT.encode()).hexdigest()
    assert document(DOCUMENT).digest != document(DOCUMENT + "# x\n").digest


def test_json_and_yaml_say_the_same() -> None:
    as_json = (
        '{"schemaVersion":"2.2","parameters":{"text":{"type":"String","allowedPattern":"[a-z]*"},"words":{"type":"StringList","default":[],'
        '"allowedValues":["a","b"]}},"mainSteps":[{"action":"aws:runShellScript","name":"say","inputs":{"runCommand":'
        '["echo {{ text }}"]}}]}'
    )
    one, two = document(DOCUMENT), document(as_json, "documents/Abc.json")
    assert one.parameters == two.parameters
    assert [(s.name, s.action, s.inputs) for s in one.steps] == [(s.name, s.action, s.inputs) for s in two.steps]


@pytest.mark.parametrize(
    ("definition", "required", "default"),
    [
        pytest.param("{type: String}", True, None, id="no default"),
        pytest.param("{type: String, default: null}", True, None, id="a null default is none"),
        pytest.param("{type: String, default: ''}", False, "", id="an empty default is one"),
        pytest.param("{type: StringList, default: []}", False, [], id="an empty list is one"),
        pytest.param("{type: String, default: 3600}", False, "3600", id="a number for a String"),
        pytest.param("{type: String, default: 1.10}", False, "1.10", id="a decimal for a String"),
        pytest.param("{type: String, default: true}", False, "true", id="a boolean for a String"),
        pytest.param("{type: StringList, default: [1, yes]}", False, ["1", "yes"], id="numbers for a StringList"),
        pytest.param("{type: StringList, default: '{{ ssm:a }}'}", False, "{{ ssm:a }}", id="a reference for a list"),
        pytest.param("{type: StringMap, default: '{}'}", False, "{}", id="a text for a map"),
        pytest.param("{type: Integer, default: 5}", False, 5, id="an Integer"),
        pytest.param("{type: Boolean, default: false}", False, False, id="a Boolean"),
        pytest.param("{type: MapList, default: [{a: 1}]}", False, [{"a": 1}], id="a MapList"),
    ],
)
def test_a_default_has_the_type_of_its_parameter(definition: str, required: bool, default: object) -> None:  # noqa: FBT001  # a case
    found = parameter(definition)
    assert (found.required, found.default) == (required, default)
    assert type(found.default) is type(default)


@pytest.mark.parametrize(
    ("written", "kind"),
    [
        ("AWS::EC2::Instance::Id", "String"),
        ("List<AWS::EC2::Instance::Id>", "StringList"),
        ("AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>", "String"),
        ("Array", "StringList"),
        ("MapList", "MapList"),
    ],
)
def test_a_type_of_aws_is_a_text_or_a_list_of_texts(written: str, kind: str) -> None:
    assert parameter(f"{{type: '{written}'}}").type == kind


def test_limits_may_be_text_and_end_out_of_range() -> None:
    found = parameter(
        "{type: String, minChars: '1', maxChars: 99999999999, minItems: -3, maxItems: 99999999999999999999, allowedValues: null}"
    )
    assert (found.min_chars, found.max_chars, found.min_items, found.max_items) == (1, None, None, None)
    assert found.allowed_values is None


def test_allowed_values_are_compared_as_the_type_they_stand_for() -> None:
    assert parameter("{type: String, allowedValues: [1, true, a]}").allowed_values == ("1", "true", "a")
    assert parameter("{type: Boolean, allowedValues: [true, false]}").allowed_values == (True, False)


def test_a_step_without_inputs_is_one() -> None:
    (step,) = document(
        "schemaVersion: '2.2'\nmainSteps: [{action: 'aws:cloudWatch', name: a, settings: {startType: Disabled}}]\n"
    ).steps
    assert step.inputs == {}


def test_a_precondition_is_kept_as_written() -> None:
    text = DOCUMENT + "    precondition: {StringEquals: [platformType, Linux]}\n"
    text = text.replace(
        "  - {action: 'aws:runShellScript', name: say, inputs: {runCommand: ['echo {{ text }}']}}\n",
        "  - action: a\n    name: b\n",
    )
    (step,) = document(text).steps
    assert step.precondition == {"StringEquals": ["platformType", "Linux"]}


def test_keys_in_another_case_are_taken_with_a_lint() -> None:
    text = "SchemaVersion: '2.2'\nMainSteps: [{Action: 'aws:runShellScript', name: b, Inputs: {RunCommand: [c]}}]\n"
    (step,) = document(text).steps
    assert (step.action, step.inputs) == ("aws:runShellScript", {"RunCommand": ["c"]})
    assert {problem.value for problem in lints({"documents/Abc.yaml": text})} == {
        "SchemaVersion",
        "MainSteps",
        "Action",
        "Inputs",
    }


def test_flow_control_beside_the_inputs_is_a_lint() -> None:
    text = "schemaVersion: '2.2'\nmainSteps: [{action: 'aws:runDocument', name: b, onFailure: exit, timeoutSeconds: '3', maxAttempts: 2}]\n"
    assert {problem.remedy for problem in lints({"documents/Abc.yaml": text})} == {
        "move onFailure into inputs",
        "move timeoutSeconds into inputs",
        "remove it: no step is tried again",
    }


@pytest.mark.parametrize(
    ("word", "remedy"),
    [
        ("Abort", "write onFailure: exit in inputs"),
        ("Continue", "remove it: the next step runs in any case"),
        ("successAndExit", "move onFailure into inputs"),
    ],
)
def test_the_words_of_runbooks_are_told_in_those_of_documents(word: str, remedy: str) -> None:
    text = f"schemaVersion: '2.2'\nmainSteps: [{{action: 'aws:runDocument', name: b, onFailure: {word}}}]\n"
    (problem,) = lints({"documents/Abc.yaml": text})
    assert (problem.message, problem.remedy) == ("ignored beside inputs", remedy)


def test_a_misspelt_property_is_a_lint() -> None:
    text = DOCUMENT.replace("{type: String,", "{type: String, allowPattern: x,")
    (problem,) = lints({"documents/Abc.yaml": text})
    assert (problem.value, problem.remedy) == ("allowPattern", "did you mean allowedPattern?")


def test_a_document_beyond_the_services_limit_is_a_lint() -> None:
    assert ["at most 65536" in p.message for p in lints({"documents/Abc.yaml": DOCUMENT + "#" * 66_000})] == [True]


def test_versions_stand_in_a_folder_and_a_file_names_the_default() -> None:
    found = folder(
        **{
            "1.yaml": DOCUMENT,
            "2.json": '{"schemaVersion":"1.2","runtimeConfig":{"a":{}}}',
            "10.yaml": DOCUMENT,
            "default": "2\n",
        }
    )
    assert (found.default, found.latest, sorted(found.versions)) == ("2", "10", ["1", "10", "2"])
    assert found.get("$DEFAULT") is found.versions["2"]
    assert found.get("$LATEST") is found.versions["10"]
    assert found.get("3") is None


def test_one_version_in_a_folder_is_the_default() -> None:
    assert folder(**{"4.yaml": DOCUMENT}).default == "4"


@pytest.mark.parametrize(
    ("files", "words"),
    [
        pytest.param({"Abc/1.yaml": DOCUMENT, "Abc/2.yaml": DOCUMENT}, "none is the default", id="no default"),
        pytest.param({"Abc/1.yaml": DOCUMENT, "Abc/default": "2"}, "no version that is here", id="a default too far"),
        pytest.param(
            {"Abc/1.yaml": DOCUMENT, "Abc/default": "$LATEST"}, "no version that is here", id="a word as default"
        ),
        pytest.param({"Abc/default": "1"}, "no version is here", id="a default alone"),
        pytest.param({"Abc/01.yaml": DOCUMENT}, "a version is a number", id="a leading zero"),
        pytest.param({"Abc/one.yaml": DOCUMENT}, "a version is a number", id="a word"),
        pytest.param({"Abc/1.yaml": DOCUMENT, "Abc/1.json": JSON}, "already says", id="one version twice"),
        pytest.param({"Abc.yaml": DOCUMENT, "Abc.json": JSON}, "already says", id="one document twice"),
        pytest.param({"Abc.yaml": DOCUMENT, "Abc/1.yaml": DOCUMENT}, "already says", id="a file and a folder"),
        pytest.param({"Ab.yaml": DOCUMENT}, "not a document's name", id="a short name"),
        pytest.param({"a b c.yaml": DOCUMENT}, "not a document's name", id="blanks in the name"),
    ],
)
def test_files_that_contradict_each_other_are_refused(files: dict[str, str], words: str) -> None:
    (problem,) = errors({f"documents/{name}": text for name, text in files.items()})
    assert words in problem.message


@pytest.mark.parametrize("file", ["documents/Abc.yaml", "documents/Abc.json"])
def test_a_nul_may_stand_in_a_pattern_and_nowhere_that_a_node_sees(file: str) -> None:
    text = '{"schemaVersion": "2.2", "parameters": {"p": {"type": "String", "allowedPattern": "[\\u0000-\\u007f]"}}, "mainSteps": [{"action": "a", "name": "b", "inputs": {"c": ["d%s"]}}]}'
    assert document(text % "", file).parameters["p"].allowed_pattern == "[\0-\x7f]"
    (problem,) = errors({file: text % "\\u0000"})
    assert "NUL" in problem.message
