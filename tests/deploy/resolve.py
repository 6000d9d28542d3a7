"""Prints what a template of CloudFormation or SAM comes to with given parameters: resolve.py TEMPLATE PARAMETERS.

Conditions are decided and references to parameters replaced. What is known only once it is deployed stands as
`<Resource>` or `<Resource.Attribute>`.
"""

import json
import re
import sys

from cfnlint.decode import decode

PSEUDO = {
    "AWS::Partition": "aws",
    "AWS::Region": "eu-central-1",
    "AWS::AccountId": "111122223333",
}
NOTHING = {"Ref": "AWS::NoValue"}


class Template:
    def __init__(self, template, given):
        self.template = template
        parameters = template.get("Parameters", {})
        unknown = set(given) - set(parameters)
        assert not unknown, f"no such parameters: {unknown}"
        self.values = dict(PSEUDO)
        for name, parameter in parameters.items():
            value = str(given.get(name, parameter.get("Default", f"<{name}>")))
            is_list = parameter["Type"] == "CommaDelimitedList"
            self.values[name] = value.split(",") if is_list else value

    def reference(self, name):
        return self.values.get(name, f"<{name}>")

    def substitute(self, text):
        return re.sub(r"\$\{([^!}]+)\}", lambda found: self.reference(found[1]), text)

    def holds(self, condition):
        return self.resolve(self.template["Conditions"][condition])

    def resolve(self, node):
        if isinstance(node, list):
            return [self.resolve(item) for item in node if not self.is_nothing(item)]
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            (function, argument), = node.items()
            if function == "Ref":
                return self.reference(argument)
            if function.startswith("Fn::") and function != "Fn::Transform":
                return self.call(function, argument)
        return {name: self.resolve(value) for name, value in node.items() if not self.is_nothing(value)}

    def chosen(self, argument):
        condition, then, otherwise = argument
        return then if self.holds(condition) else otherwise

    def is_nothing(self, node):
        while isinstance(node, dict) and "Fn::If" in node:
            node = self.chosen(node["Fn::If"])
        return node == NOTHING

    def call(self, function, argument):
        match function:
            case "Fn::If":
                return self.resolve(self.chosen(argument))
            case "Fn::Sub":
                return self.substitute(argument)
            case "Fn::GetAtt":
                return f"<{argument if isinstance(argument, str) else '.'.join(argument)}>"
            case "Fn::Join":
                separator, parts = argument
                return separator.join(self.resolve(parts))
            case "Fn::Equals":
                one, other = self.resolve(argument)
                return one == other
            case "Fn::Not":
                return not self.resolve(argument)[0]
            case "Fn::Select" | "Fn::GetAZs":
                return f"<{function} {json.dumps(argument)}>"
        raise ValueError(f"{function} is not known here")

    def resources(self):
        for name, resource in self.template["Resources"].items():
            if "Condition" not in resource or self.holds(resource["Condition"]):
                yield name, self.resolve(resource)


def main(path, given):
    template, problems = decode(path)
    assert template, problems
    template = Template(template, json.loads(given))
    shared = template.resolve(template.template.get("Globals", {}))
    print(json.dumps({"Globals": shared, "Resources": dict(template.resources())}))


main(*sys.argv[1:])
