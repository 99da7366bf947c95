"""Files of rules, playbooks and settings for the quell that is measured.

Guards are on as in the field; only the ceilings are raised, since a benchmark asks for more runs in a second than a site in a
month. Nothing else differs from what `quell init` leaves: no credentials, because only this host may post.
"""

import os

# as many runs as there are alerts
LIMITS = """\
prometheus: { url: "http://127.0.0.1:9" }   # nobody: asked only by verifications that never begin here
limits:
  rate: 1000000 per 1h
  concurrent: 10000
  service_rate: 1000000 per 1h
  storm: { targets: 1000000, within: 5m, cooldown: 10m }
"""


def one_step(name, parameter, action, on_unknown, step=None):
    """A playbook of one step, with one parameter."""
    return f"""\
playbook: {name}
parameters:
  {parameter}
limits: {{ rate: 1000000 per 1h, concurrent: 10000 }}
steps:
  - name: {step or name}
    {action}
    timeout: 30s
    on_unknown: {on_unknown}
"""


RESTART = one_step(
    "restart",
    "unit: { type: string, required: true }",
    "command: { argv: [systemctl, restart, '{{ unit }}'] }",
    "ask",
    step="restart it",
)

# Tells when it was started, and mends what the verification looks at.
MARK = one_step(
    "mark",
    "sent: { type: string, required: true, pattern: '[0-9]+' }",
    "command: { argv: ['%(mark)s', '{{ sent }}', '%(marks)d', '%(plant)d'] }",
    "ask",
)

HOST = "host: { type: string, required: true, pattern: '[0-9a-f]+' }"
MEND_BY_HTTP = one_step(
    "mend", HOST, "http: { method: POST, url: 'http://127.0.0.1:%(plant)d/mend/{{ host }}' }", "retry"
)
MEND_BY_COMMAND = one_step(
    "mend", HOST, "command: { argv: ['%(mark)s', '{{ host }}', '%(plant)d'] }", "retry"
)

# What all alerts of the load have; each has an instance of its own.
OURS = "[alertname=\"HighRequestLatency\", instance!=\"\"]"


def rules_that_do_not_match(count):
    """So many rules of the shapes that people write, a thousand in a file, and none is about the alerts of the load."""
    return [some_rules(range(first, min(first + 1000, count))) for first in range(0, count, 1000)]


def some_rules(numbers):
    """A file of rules."""
    text = ["rules:\n"]
    for number in numbers:
        matchers = (
            f"[alertname=\"Other{number}\", severity=~\"critical|high\", service!=\"\"]",
            f"[alertname=\"HighErrorRate\", service=\"service-{number}\"]",
            f"[alertname=~\"Down{number}|Slow{number}\", namespace=~\"prod-.*\", service!=\"\"]",
            f"['instance=~\"host-{number}-.*\"', severity=\"critical\", service!=\"\"]",
            f"['instance=~\"db-{number}-[a-z]+[0-9]?\"', 'team!~\"no(body|ne)\"', service!=\"\"]",
        )[number % 5]
        text.append(
            f"  - name: rule-{number}\n"
            f"    description: What to do about number {number}.\n"
            f"    match: {matchers}\n"
            "    target: systemd/{{ labels.service }}\n"
            "    response:\n"
            "      - playbook: restart\n"
            "        with: { unit: '{{ labels.service }}' }\n"
            "    verify: { promql: 'up{service=\"{{ labels.service }}\"}', healthy: value == 1.0 }\n"
            "    limits: { settle: 2m, cooldown: 30m, rate: 2 per 6h }\n"
        )
    return "".join(text)


def rule_that_tells():
    """A rule that takes every alert of the load, opens an incident for each, and leaves it to people."""
    return f"rules:\n  - name: ours\n    match: {OURS}\n    target: 'host/{{{{ labels.instance }}}}'\n"


def rule_that_plans():
    """The same with a remedy: in mode observe it is planned, and not done."""
    return (
        rule_that_tells()
        + "    response:\n"
        + "      - playbook: restart\n"
        + "        with: { unit: '{{ labels.instance }}' }\n"
    )


def rule_that_marks(plant):
    """A rule whose remedy tells when it was started; it is verified as remedies are."""
    return (
        rule_that_tells()
        + "    response:\n"
        + "      - playbook: mark\n"
        + "        with: { sent: '{{ annotations.sent }}' }\n"
        + "    verify:\n"
        + f"      http: {{ url: 'http://127.0.0.1:{plant}/healthy/{{{{ annotations.sent }}}}' }}\n"
        + "      within: 1m\n"
        + "      hold: 0s\n"
    )


def rule_that_mends(plant):
    """A rule whose remedy mends a host, which is looked at before and after."""
    host = "{{ labels.instance | split(':') | first }}"
    return (
        rule_that_tells()
        + "    response:\n"
        + "      - playbook: mend\n"
        + f"        with: {{ host: \"{host}\" }}\n"
        + "    verify:\n"
        + f"      http: {{ url: \"http://127.0.0.1:{plant}/healthy/{host}\" }}\n"
        + "      within: 1m\n"
        + "      hold: 0s\n"
    )


def write(folder, port, *, rules, playbook=RESTART, mode="observe", storage="sqlite:quell.db", more=""):
    """Writes quell.yml with its rules, one file or several, and its playbook into a folder; returns its path."""
    for name in ("rules", "playbooks"):
        os.makedirs(os.path.join(folder, name), exist_ok=True)
    settings = f"listen: 127.0.0.1:{port}\nstorage: \"{storage}\"\nmode: {mode}\n{LIMITS}{more}"
    files = {"quell.yml": settings, "playbooks/playbook.yml": playbook}
    for number, text in enumerate([rules] if isinstance(rules, str) else rules):
        files[f"rules/{number:04}.yml"] = text
    for name, text in files.items():
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            file.write(text)
    return os.path.join(folder, "quell.yml")
