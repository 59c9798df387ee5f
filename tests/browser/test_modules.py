"""What the page's parts promise, each alone in a real browser: offsets, waiting, safe Markdown."""

from __future__ import annotations

import random
from typing import Any, get_args

import pytest
from playwright.async_api import Page

from contracts.discussion_events import DiscussionEvent

pytestmark = pytest.mark.asyncio(loop_scope="session")

TEXT = "naïve 👩‍👩‍👧 café 🎉 – ünïcode\n\nand **more** of it, 漢字 too"

Event = tuple[str, dict[str, Any], int]

OPENED: Event = (
    "DiscussionOpened",
    {
        "discussion": "d",
        "mode": "parallel",
        "topic": "Tea?",
        "participants": [{"persona": "ada", "name": "Ada", "model": "kimi/k"}],
    },
    1,
)
SCHEDULED: Event = (
    "TurnScheduled",
    {"turn": "t", "participant": 0, "persona": "ada", "model": "kimi/k"},
    2,
)


def started(attempt: str, id_: int) -> Event:
    fact = {"turn": "t", "attempt": attempt, "number": 1, "provider": "kimi", "model": "k"}
    return ("AttemptStarted", fact, id_)


def chunk(offset: int, text: str, *, attempt: str = "a", kind: str = "text") -> Event:
    live = {"turn": "t", "attempt": attempt, "kind": kind, "offset": offset, "text": text}
    return ("StreamChunk", live, 0)


def chunks(text: str, attempt: str = "a") -> list[Event]:
    """The text in pieces of up to seven code points, as a Python string counts them."""
    dice = random.Random(7)
    pieces: list[Event] = []
    at = 0
    while at < len(text):
        size = dice.randint(1, 7)
        pieces.append(chunk(at, text[at : at + size], attempt=attempt))
        at += size
    return pieces


async def told(page: Page, *events: Event) -> dict[str, Any]:
    """The transcript after these events, and what each of them was taken for."""
    return await page.evaluate(
        """async (events) => {
            const { Transcript } = await import("/pages/transcript.js");
            const transcript = new Transcript();
            const outcomes = events.map(([name, data, id]) => transcript.apply(name, data, id));
            const turn = transcript.turns.get("t");
            return {
                outcomes, version: transcript.version, state: transcript.state,
                text: turn?.body.text, length: turn?.body.length, thought: turn?.thought.text,
                turn: turn?.state, attempts: turn?.attempts, model: turn?.model,
                notes: turn?.notes,
            };
        }""",
        [list(event) for event in events],
    )


async def test_live_text_adds_up_to_what_was_said(modules: Page) -> None:
    known = await told(modules, OPENED, SCHEDULED, started("a", 3), *chunks(TEXT))

    assert known["text"] == TEXT
    assert known["length"] == len(TEXT)
    assert known["turn"] == "running"


async def test_pieces_that_come_again_are_skipped_however_they_overlap(modules: Page) -> None:
    dice = random.Random(3)
    repeated = [
        chunk(at, TEXT[at : at + 9])
        for end in range(len(TEXT))
        for at in (end, dice.randint(0, end))
    ]

    assert (await told(modules, *repeated))["text"] == TEXT


async def test_a_hole_in_the_text_is_noticed_and_nothing_is_made_up(modules: Page) -> None:
    known = await told(modules, chunk(0, "👩‍👩"), chunk(4, "x"), chunk(3, "y"))

    assert known["outcomes"] == ["changed", "gap", "changed"]
    assert known["text"] == "👩‍👩y"


async def test_a_missing_fact_is_noticed(modules: Page) -> None:
    known = await told(modules, OPENED, started("a", 3))

    assert known["outcomes"] == ["changed", "gap"]
    assert known["version"] == 1


async def test_facts_that_are_told_again_change_nothing(modules: Page) -> None:
    story = (OPENED, SCHEDULED, started("a", 3), chunk(0, "Milk"))
    known = await told(modules, *story, *story[:3])

    assert known["outcomes"][-3:] == ["stale"] * 3
    assert (known["text"], known["attempts"]) == ("Milk", 1)


async def test_a_snapshot_replaces_what_was_heard(modules: Page) -> None:
    snapshot: Event = ("TurnText", {"turn": "t", "attempt": "a", "text": "Milk first"}, 0)
    known = await told(modules, chunk(0, "Mi"), snapshot, chunk(10, "."), chunk(3, "k first."))

    assert known["text"] == "Milk first."


async def test_a_restart_drops_the_text_of_the_attempt_that_failed(modules: Page) -> None:
    restarted: Event = ("TurnRestarted", {"turn": "t", "attempt": "a"}, 4)
    known = await told(
        modules,
        *(OPENED, SCHEDULED, started("a", 3), chunk(0, "Milk")),
        *(restarted, chunk(4, " late"), started("b", 5), chunk(0, "Sugar", attempt="b")),
    )

    assert (known["text"], known["attempts"]) == ("Sugar", 2)


async def test_a_restart_that_arrives_late_spares_the_new_text(modules: Page) -> None:
    restarted: Event = ("TurnRestarted", {"turn": "t", "attempt": "a"}, 4)
    known = await told(
        modules,
        *(OPENED, SCHEDULED, started("a", 3), chunk(0, "Milk")),
        *(chunk(0, "Su", attempt="b"), restarted, started("b", 5), chunk(2, "gar", attempt="b")),
    )

    assert known["text"] == "Sugar"


async def test_a_resumed_attempt_goes_on_where_the_former_one_broke(modules: Page) -> None:
    failed: Event = ("AttemptFailed", {"turn": "t", "attempt": "a", "class": "midstream"}, 4)
    known = await told(
        modules,
        *(OPENED, SCHEDULED, started("a", 3), chunk(0, "Milk")),
        *(failed, started("b", 5), chunk(4, " first", attempt="b")),
    )

    assert known["text"] == "Milk first"


async def test_what_was_heard_beyond_the_break_gives_way_to_what_stands(modules: Page) -> None:
    failed: Event = (
        "AttemptFailed",
        {"turn": "t", "attempt": "a", "class": "midstream", "text": "Milk 🥛 fi"},
        4,
    )
    _, again, _ = started("b", 5)
    known = await told(
        modules,
        *(OPENED, SCHEDULED, started("a", 3), chunk(0, "Milk 🥛 finally"), failed),
        *(("AttemptStarted", again | {"from_char": 7}, 5), chunk(7, "first", attempt="b")),
    )

    assert known["text"] == "Milk 🥛 first"


async def test_what_is_completed_is_the_truth_and_no_late_piece_changes_it(modules: Page) -> None:
    completed: Event = (
        "TurnCompleted",
        {"turn": "t", "attempt": "a", "model": "kimi/k", "text": "Tea.", "finish_reason": "stop"}
        | {"notes": ["top_p was left out."]},
        4,
    )
    known = await told(
        modules,
        *(OPENED, SCHEDULED, started("a", 3), chunk(0, "Te"), completed),
        *(chunk(2, "nt"), ("TurnText", {"turn": "t", "attempt": "a", "text": "Te"}, 0)),
        ("DiscussionCompleted", {}, 5),
    )

    assert (known["text"], known["turn"], known["state"]) == ("Tea.", "completed", "completed")
    assert known["notes"] == ["top_p was left out."]


async def test_waiting_for_a_viewer_grows_to_a_minute_and_is_never_in_step(modules: Page) -> None:
    waits = await modules.evaluate(
        """async () => {
            const { nextWait } = await import("/pages/supervisor.js");
            return [...Array(40).keys()].map((n) => [nextWait(n, 0), nextWait(n, 0.999999)]);
        }"""
    )

    assert all(least == 0 for least, _ in waits)
    assert [round(most) for _, most in waits[:8]] == [
        1000,
        2000,
        4000,
        8000,
        16000,
        32000,
        *[60000] * 2,
    ]
    assert waits[-1][1] < 60_000


# --- What happens between turns --------------------------------------------------------------


async def known_after(page: Page, facts: list[tuple[str, dict[str, Any]]], look: str) -> Any:
    """What `look` finds in the transcript `known` after these facts."""
    return await page.evaluate(
        f"""async (facts) => {{
            const {{ Transcript }} = await import("/pages/transcript.js");
            const known = new Transcript();
            facts.forEach(([name, data], at) => known.apply(name, data, at + 1));
            return {look};
        }}""",
        facts,
    )


def opened(mode: str, *models: str, **options: Any) -> tuple[str, dict[str, Any]]:
    who = [{"model": model} for model in models]
    about = {"discussion": "d", "topic": "Tea?", "mode": mode}
    return ("DiscussionOpened", about | {"participants": who, "options": options})


def called(turn: str, participant: int = 0, **more: Any) -> tuple[str, dict[str, Any]]:
    return ("TurnScheduled", {"turn": turn, "participant": participant, "persona": "", **more})


async def test_every_fact_of_a_discussion_is_listened_for(modules: Page) -> None:
    heard = await modules.evaluate(
        """async () => (await import("/pages/transcript.js")).EVENT_NAMES"""
    )

    facts = get_args(DiscussionEvent)
    assert {fact.__name__ for fact in facts} <= set(heard)


async def test_a_message_stands_where_it_was_said(modules: Page) -> None:
    known = await known_after(
        modules,
        [
            opened("debate", "kimi/a", "kimi/b"),
            called("one"),
            ("MessagePosted", {"message": "m", "text": "And milk?"}),
            called("two", 1, posts=1, round=1),
        ],
        "[known.posts.map((post) => post.after), [...known.turns.values()].map((t) => t.posts)]",
    )

    assert known == [["one"], [0, 1]]


async def test_a_view_tells_who_has_heard_which_message(modules: Page) -> None:
    turns = [{"id": id, "state": "completed", "model": "kimi/k"} for id in ("one", "two")]
    view = {"id": "d", "version": 9, "state": "completed", "turns": turns}
    heard = await modules.evaluate(
        """async (view) => {
            const { Transcript } = await import("/pages/transcript.js");
            const known = new Transcript();
            known.adopt(view);
            return [...known.turns.values()].map((turn) => turn.posts);
        }""",
        view | {"posts": [{"id": "m", "text": "And milk?", "after": "one"}]},
    )

    assert heard == [0, 1]


async def test_names_are_hidden_until_the_best_is_picked(modules: Page) -> None:
    story = [opened("compare", "kimi/a", "kimi/b", blind=True), called("one"), called("two", 1)]
    names = "[0, 1].map((who) => known.nameOf(who))"

    assert await known_after(modules, story, names) == ["Model A", "Model B"]
    picked = ("WinnerPicked", {"turn": "two", "blind": True})
    assert await known_after(modules, [*story, picked], names) == ["kimi/a", "kimi/b"]


async def test_the_same_model_twice_is_told_apart(modules: Page) -> None:
    names = await known_after(
        modules,
        [opened("compare", "kimi/a", "kimi/b", "kimi/a")],
        "[0, 1, 2].map((who) => known.nameOf(who))",
    )

    assert names == ["kimi/a (1)", "kimi/b", "kimi/a (2)"]


async def test_what_only_the_events_tell_stays_when_a_view_comes(modules: Page) -> None:
    facts = [
        opened("consensus", "kimi/a", "kimi/b"),
        called("one", purpose="draft"),
        ("PanelSealed", {"drafts": {"one": "00"}, "absent": [1]}),
        ("BallotSubmitted", {"turn": "r", "member": 0, "round": 1, "ranking": ["one"]}),
    ]
    look = """[4, 5].map((version) => {
        known.adopt({ id: "d", version, state: "running", mode: "consensus", turns: [] });
        return [known.whole, known.ballots.length];
    })"""

    # A view of what is known already changes nothing; a later one leaves a hole.
    assert await known_after(modules, facts, look) == [[True, 1], [False, 1]]


# --- Markdown ---------------------------------------------------------------------------------


async def drawn(page: Page, text: str, *, pieces: int = 1) -> str:
    """The HTML that the text becomes; `pieces` > 1 lets it grow to that first."""
    return await page.evaluate(
        """async ([text, pieces]) => {
            const { Drawing } = await import("/pages/markdown.js");
            const place = document.createElement("div");
            const drawing = new Drawing(place);
            for (let n = 1; n < pieces; n += 1) {
                drawing.show(text.slice(0, text.length * n / pieces), true);
            }
            drawing.show(text);
            return place.innerHTML;
        }""",
        [text, pieces],
    )


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("Tea", "<p>Tea</p>"),
        ("Tea\nor coffee", "<p>Tea\nor coffee</p>"),
        ("**Tea** *or* ~~coffee~~", "<p><strong>Tea</strong> <em>or</em> <s>coffee</s></p>"),
        ("***both***", "<p><strong><em>both</em></strong></p>"),
        ("**bold with *both* in it**", "<p><strong>bold with <em>both</em> in it</strong></p>"),
        ("a snake_case_name, 2 * 3 * 4", "<p>a snake_case_name, 2 * 3 * 4</p>"),
        ("`a < b`", "<p><code>a &lt; b</code></p>"),
        ("``a ` b``", "<p><code>a ` b</code></p>"),
        (r"\*plain\*", "<p>*plain*</p>"),
        ("# One", '<h3 class="level-1">One</h3>'),
        ("###### Six", '<h6 class="level-6">Six</h6>'),
        ("#hashtag", "<p>#hashtag</p>"),
        ("- a\n- b", "<ul><li>a</li><li>b</li></ul>"),
        ("3. a\n4. b", '<ol start="3"><li>a</li><li>b</li></ol>'),
        ("- a\n  - b\n- c", "<ul><li>a<ul><li>b</li></ul></li><li>c</li></ul>"),
        ("1. a\n   - b\n2. c", "<ol><li>a<ul><li>b</li></ul></li><li>c</li></ol>"),
        ("- a\n\n- b", '<ul class="loose"><li><p>a</p></li><li><p>b</p></li></ul>'),
        ("a list:\n- b", "<p>a list:</p><ul><li>b</li></ul>"),
        ("> so\n> it is", "<blockquote><p>so\nit is</p></blockquote>"),
        ("---", "<hr>"),
        (
            "```py\na = 1\n\n<b>\n```\nend",
            '<pre tabindex="0"><code>a = 1\n\n&lt;b&gt;</code></pre><p>end</p>',
        ),
        ("```\nnever closed", '<pre tabindex="0"><code>never closed</code></pre>'),
        (
            "| a | b |\n|---|--:|\n| 1 | 2 |",
            (
                '<div class="table" tabindex="0"><table><thead><tr><th scope="col">a</th>'
                '<th class="right" scope="col">b</th></tr></thead>'
                '<tbody><tr><td>1</td><td class="right">2</td></tr></tbody></table></div>'
            ),
        ),
    ],
)
async def test_markdown_is_drawn(modules: Page, text: str, html: str) -> None:
    assert await drawn(modules, text) == html


@pytest.mark.parametrize("pieces", [2, 7, 50])
async def test_text_that_grew_is_drawn_as_if_it_had_come_whole(modules: Page, pieces: int) -> None:
    text = "# Tea\n\n**Milk**, *then*:\n\n1. a\n2. b\n   - `deep`\n\n| a |\n|---|\n| 1 |\n\n> end"

    assert await drawn(modules, text, pieces=pieces) == await drawn(modules, text)


async def test_an_emphasis_in_the_making_is_shown_as_one(modules: Page) -> None:
    html = await modules.evaluate(
        """async () => {
            const { Drawing } = await import("/pages/markdown.js");
            const place = document.createElement("div");
            new Drawing(place).show("- a **bold be", true);
            return place.innerHTML;
        }"""
    )

    assert html == "<ul><li>a <strong>bold be</strong></li></ul>"


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[a](javascript:alert(1))",
        "[a](data:text/html,<script>alert(1)</script>)",
        "[a](JaVaScRiPt:alert(1))",
        "[a](vbscript:x)",
        "[a](//evil.example/x)",
        "[a](/api/v1/keys)",
        "<javascript:alert(1)>",
        "![a](https://evil.example/pixel.png)",
        "| <b onmouseover=alert(1)> |\n|---|\n| [x](file:///etc/passwd) |",
    ],
)
async def test_nothing_a_model_writes_becomes_markup_or_leads_astray(
    modules: Page, text: str
) -> None:
    harmless = await modules.evaluate(
        """async (text) => {
            const { Drawing } = await import("/pages/markdown.js");
            const place = document.createElement("div");
            new Drawing(place).show(text);
            const links = [...place.querySelectorAll("a")];
            const foreign = "script, img, iframe, style, b, [onmouseover], [onerror]";
            return !place.querySelector(foreign) && links.every(
                (link) => /^https?:$/.test(link.protocol) && link.rel.includes("noopener"),
            );
        }""",
        text,
    )

    assert harmless


async def test_links_lead_to_the_web_only_and_know_where_the_sentence_ends(modules: Page) -> None:
    html = await drawn(
        modules, "See [tea](https://example.org/tea_(drink)), https://example.org/a."
    )

    attributes = 'rel="noopener noreferrer nofollow ugc" target="_blank"'
    assert html == (
        f'<p>See <a href="https://example.org/tea_(drink)" {attributes}>tea</a>, '
        f'<a href="https://example.org/a" {attributes}>https://example.org/a</a>.</p>'
    )


@pytest.mark.parametrize(
    "text",
    [
        "*a " * 20_000,
        "`" * 5_000 + "a" * 5_000,
        "[" * 20_000,
        "> " * 5_000,
        "- " * 5_000,
        "#" + " " * 50_000 + "x",
        "|" * 20_000 + "\n" + "|-" * 20_000,
        "_*~" * 10_000,
        "```" + "a" * 50_000 + "`",
        "https://" + ")" * 20_000,
        "\n".join("  " * n + "- x" for n in range(300)),
    ],
    ids=lambda text: text[:6],
)
async def test_no_text_keeps_the_page_busy(modules: Page, text: str) -> None:
    milliseconds = await modules.evaluate(
        """async (text) => {
            const { Drawing } = await import("/pages/markdown.js");
            const place = document.createElement("div");
            const begun = performance.now();
            new Drawing(place).show(text, true);
            return performance.now() - begun;
        }""",
        text,
    )

    assert milliseconds < 1_500


async def test_amounts_and_times_are_told_as_people_do(modules: Page) -> None:
    words = await modules.evaluate(
        """async () => {
            const { ago, left, money, took } = await import("/pages/words.js");
            const now = Date.UTC(2026, 0, 1, 12);
            const at = (seconds) => new Date(now + seconds * 1000).toISOString();
            return [
                ago(at(-5), now), ago(at(-300), now), ago(at(-7200), now), ago("nonsense", now),
                left(at(12), now), left(at(95), now), left(at(7800), now), left(at(-3), now),
                money({ amount: "0" }), money({ amount: "0.00155" }), money({ amount: "12.5" }),
                took(410), took(42_000), took(95_000),
            ];
        }"""
    )

    assert words == [
        *("now", "5 min. ago", "2 hr. ago", ""),
        *("in 12 s", "in 1:35 min", "in 2 h 10 min", "any moment"),
        *("free", "$0.0016", "$12.50"),
        *("0.4 s", "42 s", "1 min 35 s"),
    ]
