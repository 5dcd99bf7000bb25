"Generated from nbs/84_claims.ipynb: change the notebook, then `make export`."
from IPython.display import Markdown
from pathlib import Path
from types import SimpleNamespace
from vad_ssl.tables import paired
import pandas as pd
import pytest


@pytest.fixture
def setup_1():
    results = Path("results") if Path("results").exists() else Path("nbs/results")
    FOUR = ["f20", "f50", "v20", "v50"]
    UCF = pd.DataFrame(  # Table 1, left
        {
            "supervised": [85.1, 61.0, 91.3, 61.1],
            "CC": [87.8, 65.0, 93.7, 66.2],
            "LC": [89.6, 69.8, 95.2, 71.8],
            "CC + LC": [89.1, 69.5, 95.1, 71.8],
        },
        FOUR,
    ).T
    JHMDB = pd.DataFrame(  # Table 1, right
        {
            "supervised": [87.9, 61.1, 92.5, 59.5],
            "CC": [89.1, 62.9, 94.1, 61.2],
            "LC": [89.0, 63.4, 94.8, 61.6],
            "CC + LC": [89.2, 63.6, 94.4, 62.8],
        },
        FOUR,
    ).T
    return SimpleNamespace(results=results, FOUR=FOUR, UCF=UCF, JHMDB=JHMDB)


@pytest.fixture
def setup_2():
    SIX = [
        "f50",
        "v20",
        "v50",
        "JHMDB f50",
        "JHMDB v20",
        "JHMDB v50",
    ]  # Table 2: UCF101-24, then JHMDB-21
    SUPERVISED = pd.DataFrame(
        {
            "[35], flow": [None, 73.5, 46.3, None, 73.8, 72.0],
            "[19]": [69.5, 76.5, 49.2, 65.7, 74.2, 73.7],
            "[51], flow": [75.0, 76.6, None, None, None, None],
            "[37], flow": [72.1, 77.5, 52.9, 65.5, 74.1, 73.4],
            "[54], flow": [None, 78.5, 50.3, None, None, 74.7],
            "[22]": [78.0, 82.8, 53.8, 70.8, 77.3, 70.2],
            "[13]": [41.4, 47.1, None, 61.3, 78.4, 76.9],
            "[12], flow": [76.3, None, 59.9, 73.3, None, 78.6],
            "[40]": [None, None, None, 77.9, None, 80.1],
            "[26]": [84.3, None, None, None, None, None],
            "[7]": [78.6, 97.1, 80.3, 64.6, 95.1, None],
            "theirs, all labels": [69.2, 95.3, 71.9, 68.1, 96.8, 68.4],
        },
        SIX,
        dtype=float,
    ).T
    WEAK = pd.DataFrame(  # without [8], whose row is printed one column off
        {
            "[25]": [None, 37.4, None, None, None, None],
            "[24]": [None, 41.8, None, None, None, None],
            "[5]": [None, 43.9, 17.7, None, None, None],
            "[1]": [None, 61.7, 35.0, None, None, None],
            "[52]": [30.4, 45.5, 17.3, 65.9, 77.3, 50.8],
        },
        SIX,
        dtype=float,
    ).T
    SEMI = pd.DataFrame(
        {
            "MixMatch": [20.2, 60.2, 13.8, 7.5, 46.2, 5.8],
            "pseudo-label": [64.9, 93.0, 65.6, 57.4, 90.1, 57.4],
            "Co-SSD": [65.3, 93.7, 67.5, 60.7, 94.3, 58.5],
            "theirs": [69.9, 95.7, 72.1, 64.4, 95.4, 63.5],
        },
        SIX,
    ).T
    return SimpleNamespace(SIX=SIX, SUPERVISED=SUPERVISED, WEAK=WEAK, SEMI=SEMI)


@pytest.fixture
def setup_3(setup_1):
    FOUR = setup_1.FOUR
    MASKS = pd.DataFrame(  # Table 3; the rows matched by the text of Section 5
        {
            "V": [68.3, 70.3, 61.9, 61.4],
            "V, cyclic": [68.4, 70.8, 63.0, 61.5],
            "V + L2": [68.8, 71.6, 63.3, 62.4],
            "V, cyclic + L2": [69.9, 72.1, 64.4, 63.5],
            "G": [69.6, 72.4, 63.2, 63.1],
            "G + L2": [69.4, 72.0, 63.1, 62.2],
        },
        ["f50", "v50", "JHMDB f50", "JHMDB v50"],
    ).T
    TRIMMED = pd.DataFrame(  # Table 4
        {"trimmed": [90.2, 69.9, 96.2, 72.1], "untrimmed": [90.1, 69.5, 96.0, 71.3]}, FOUR
    ).T
    VOS = {"10%": 10.1, "10%, semi": 36.8, "100%": 47.9}  # Table 5, average
    return SimpleNamespace(MASKS=MASKS, TRIMMED=TRIMMED, VOS=VOS)


@pytest.fixture
def setup_4():
    def gap(table, row, over, *columns):
        "One row minus another, to the paper's one digit."
        return (table.loc[row] - table.loc[over])[list(columns) or table.columns].round(1).tolist()
    return SimpleNamespace(gap=gap)


@pytest.fixture
def setup_5():
    def near(x, low, high=None):
        "Is it what the sentence says, in whole percent?"
        return low - 0.5 <= x <= (low if high is None else high) + 0.5


    def claim(where, sentence, numbers, checks):
        "A row of the page."
        status = "holds" if all(checks) else "in part" if any(checks) else "does not"
        return {
            "where": where,
            "the paper says": f"“{sentence}”",
            "its tables": numbers,
            "status": f"**{status}**" if status != "holds" else status,
        }


    def page(rows):
        "Rows as a table."
        lines = [rows[0], dict.fromkeys(rows[0], "---"), *rows]
        lines[0] = dict(zip(rows[0], rows[0]))
        return Markdown("\n".join(f"| {' | '.join(line.values())} |" for line in lines))
    return SimpleNamespace(near=near, claim=claim, page=page)


def test_a_verdict_is_counted(setup_1, setup_4, setup_5):
    UCF = setup_1.UCF
    gap = setup_4.gap
    claim = setup_5.claim
    assert claim("", "", "", [True, False])["status"] == "**in part**"
    assert gap(UCF, "CC", "supervised", "f50", "v50") == [4.0, 5.1]


@pytest.fixture
def setup_6(setup_1, setup_2, setup_5):
    UCF = setup_1.UCF
    SIX = setup_2.SIX
    SUPERVISED = setup_2.SUPERVISED
    SEMI = setup_2.SEMI
    claim = setup_5.claim
    best = SEMI.loc["theirs"]
    gained = (best - UCF.loc["supervised"])[["f50", "v50"]].round(1).tolist()
    behind = (best - SUPERVISED.loc["theirs, all labels"])[SIX[:3]].round(1).tolist()
    MAIN = [
        claim(
            "Abstract",
            "it improves the score by +8.9% and +11% at 0.5 f-mAP and v-mAP",
            f"{gained}",
            [gained == [8.9, 11.0]],
        ),
        claim(
            "Figure 1",
            "using merely 20% of labeled samples, matches ... fully supervised method trained on 100%",
            f"f 0.5, v 0.2, v 0.5: {behind}",
            [x >= 0 for x in behind],
        ),
    ]
    return SimpleNamespace(best=best, gained=gained, behind=behind, MAIN=MAIN)


@pytest.fixture
def setup_7(setup_1, setup_4, setup_5):
    UCF = setup_1.UCF
    JHMDB = setup_1.JHMDB
    gap = setup_4.gap
    near = setup_5.near
    claim = setup_5.claim
    boost = gap(UCF, "CC", "supervised", "f50", "v50")
    more = gap(UCF, "LC", "CC") + gap(JHMDB, "LC", "CC")
    together = gap(UCF, "CC + LC", "CC", "f50", "v50")
    beside = gap(UCF, "CC + LC", "LC", "f50", "v50")
    small = [gap(JHMDB, row, "supervised") for row in ("CC", "LC")]
    PARTS = [
        claim(
            "4.1",
            "when we apply classification consistency ... a boost of 4-5.1% at 0.5",
            f"{boost}",
            [boost == [4.0, 5.1]],
        ),
        claim(
            "4.1",
            "In general, spatio-temporal consistency outperforms the classification consistency",
            f"higher in {sum(x > 0 for x in more)} of {len(more)} scores",
            [sum(x > 0 for x in more) > len(more) / 2],
        ),
        claim(
            "4.1",
            "the combination of both, outperforms the classification by a margin of 4.5-5.6%",
            f"{together}",
            [together == [4.5, 5.6]],
        ),
        claim(
            "4.1",
            "relative to spatio-temporal the performance is almost similar",
            f"{beside}",
            [abs(x) < 1 for x in beside],
        ),
        claim(
            "4.1",
            "[JHMDB] a boost of approximately 1-2% for both classification and localization",
            f"CC {small[0]}, LC {small[1]}",
            [near(x, 1, 2) for gains in small for x in gains],
        ),
        claim(
            "4.1",
            "we used 30% of the dataset as a labeled subset, ... 189 labeled samples and 471 unlabeled",
            f"189 of 660 are {189 / 660:.1%}",
            [near(100 * 189 / 660, 30)],
        ),
    ]
    return SimpleNamespace(boost=boost, more=more, together=together, beside=beside, small=small, PARTS=PARTS)


@pytest.fixture
def setup_8(setup_1, setup_3, setup_4, setup_5):
    UCF = setup_1.UCF
    JHMDB = setup_1.JHMDB
    MASKS = setup_3.MASKS
    gap = setup_4.gap
    near = setup_5.near
    claim = setup_5.claim
    plain = pd.Series(
        [UCF.loc["LC", "f50"], UCF.loc["LC", "v50"], JHMDB.loc["LC", "f50"], JHMDB.loc["LC", "v50"]],
        MASKS.columns,
    )
    over_l2 = {row: (MASKS.loc[row] - plain).round(1).tolist() for row in ("V, cyclic + L2", "G")}
    ring, with_l2 = gap(MASKS, "V, cyclic", "V"), gap(MASKS, "V + L2", "V")
    both = gap(MASKS, "V, cyclic + L2", "V + L2")
    MASK = [
        claim(
            "4.1",
            "[variance] outperforms non-attentive L2 by a margin of 0.1 and 0.3%. For JHMDB-21 ... "
        "1% for f-mAP and 2% for v-mAP",
            f"{over_l2['V, cyclic + L2']}",
            [over_l2["V, cyclic + L2"][:2] == [0.1, 0.3]]
            + [near(x, y) for x, y in zip(over_l2["V, cyclic + L2"][2:], (1, 2))],
        ),
        claim(
            "4.1, 5",
            "gradient smoothness, v-mAP at 0.5 ... beat the non-attentive L2 by 0.6% and 1.5%",
            f"v {over_l2['G'][1::2]} (and f {over_l2['G'][::2]})",
            [over_l2["G"][1::2] == [0.6, 1.5]],
        ),
        claim(
            "5",
            "cyclic variance improved the score by 0.1-0.5% for UCF101-24 and 0.1-1.1% for JHMDB-21",
            f"{ring}",
            [sorted(ring[:2]) == [0.1, 0.5], sorted(ring[2:]) == [0.1, 1.1]],
        ),
        claim(
            "5",
            "Incorporating non-attentive L2 loss, ... a good increment of roughly 1% for both datasets",
            f"{with_l2}",
            [near(x, 1) for x in with_l2],
        ),
        claim(
            "5",
            "cyclic variance alongwith non-attentive L2 we got an additional boost of 1%",
            f"{both}",
            [near(x, 1) for x in both],
        ),
    ]
    return SimpleNamespace(plain=plain, over_l2=over_l2, ring=ring, with_l2=with_l2, both=both, MASK=MASK)


@pytest.fixture
def setup_9(setup_2, setup_4, setup_5):
    SEMI = setup_2.SEMI
    gap = setup_4.gap
    near = setup_5.near
    claim = setup_5.claim
    pseudo = gap(SEMI, "theirs", "pseudo-label", "v50", "JHMDB v50")
    cossd = gap(SEMI, "theirs", "Co-SSD", "v50", "JHMDB v50")
    second = gap(SEMI, "Co-SSD", "pseudo-label", "f50", "v50", "JHMDB f50", "JHMDB v50")
    lowest = SEMI.idxmin().eq("MixMatch").tolist()
    OTHERS = [
        claim(
            "4.2",
            "The performance of MixMatch is lowest amongst all",
            f"in {sum(lowest)} of {len(lowest)} scores",
            lowest,
        ),
        claim(
            "4.2",
            "Compared to pseudo-label at v-mAP@0.5, ... 5-6% on UCF101-24 and 7-8% on JHMDB-21",
            f"{pseudo}",
            [near(pseudo[0], 5, 6), near(pseudo[1], 7, 8)],
        ),
        claim(
            "4.2",
            "Co-SSD outperformed the pseudo-label approach",
            f"{second}",
            [x > 0 for x in second],
        ),
        claim(
            "4.2",
            "[v-mAP@0.5] we beat that approach [Co-SSD] with a margin of 4-5% for both the datasets",
            f"{cossd}",
            [near(x, 4, 5) for x in cossd],
        ),
    ]
    return SimpleNamespace(pseudo=pseudo, cossd=cossd, second=second, lowest=lowest, OTHERS=OTHERS)


@pytest.fixture
def setup_10(setup_2, setup_5, setup_6):
    SIX = setup_2.SIX
    SUPERVISED = setup_2.SUPERVISED
    WEAK = setup_2.WEAK
    claim = setup_5.claim
    best = setup_6.best
    published = SUPERVISED.drop("theirs, all labels")
    top, weak = published.max(), WEAK.max()
    ahead = {k: published.index[published[k] > best[k]].tolist() for k in SIX}
    counted = published.f50.dropna()
    better = [name for name in counted.index if counted[name] < best.f50]
    said = [x for x in published.index if x.startswith(("[51]", "[37]", "[12]"))]
    over_weak = (best - weak)[["v20", "v50"]].round(1).tolist()
    LEVELS = [
        claim(
            "4.2",
            "our scores at v-mAP@0.2 and 0.5 outperform all of the approaches [fully supervised]",
            f"{best.v20} and {best.v50}; best published {top.v20} and {top.v50} ([7])",
            [best[k] > top[k] for k in ("v20", "v50")],
        ),
        claim(
            "4.2",
            "f-mAP@0.5 is better than most of the approaches apart from [51], [37], and, [12]",
            f"better than {len(better)} of {len(counted)}; behind {'; '.join(ahead['f50'])}",
            [len(better) > len(counted) / 2, len(ahead["f50"]) == 3],
        ),
        claim(
            "4.2",
            "However, all of them have used optical flow as a second modality",
            f"the three that it names: {sum('flow' in x for x in said)} of {len(said)}; "
        f"of all that are ahead, {sum('flow' in x for x in ahead['f50'])} of {len(ahead['f50'])}",
            ["flow" in x for x in said],
        ),
        claim(
            "4.2",
            "[weakly] We beat the best-reported scores on UCF101-24 by a margin of more than 35% "
        "approximately",
            f"v at 0.2 and 0.5: {over_weak}",
            [x >= 35 - 0.5 for x in over_weak],
        ),
        claim(
            "1",
            "outperforming all the weakly-supervised approaches",
            f"behind in {', '.join(k for k in SIX if weak[k] > best[k])}: "
        f"{best['JHMDB f50']} against {weak['JHMDB f50']} ([52])",
            [best[k] > weak[k] for k in SIX],
        ),
        claim(
            "4.2",
            "For JHMDB-21, we were able to beat some of the approaches at f-mAP@0.5 and v-mAP@0.2",
            ", ".join(f"{k}: {(published[k] < best[k]).sum()}" for k in ("JHMDB f50", "JHMDB v20")),
            [(published[k] < best[k]).any() for k in ("JHMDB f50", "JHMDB v20")],
        ),
    ]
    return SimpleNamespace(published=published, top=top, weak=weak, ahead=ahead, counted=counted, better=better, said=said, over_weak=over_weak, LEVELS=LEVELS)


@pytest.fixture
def setup_11(setup_3, setup_4, setup_5):
    TRIMMED = setup_3.TRIMMED
    VOS = setup_3.VOS
    gap = setup_4.gap
    near = setup_5.near
    claim = setup_5.claim
    drop = gap(TRIMMED, "untrimmed", "trimmed")
    average = ["average"]
    gain10 = round(VOS["10%, semi"] - VOS["10%"], 1)
    unchecked = "a figure without numbers"
    DATA = [
        claim(
            "6, Figure 5",
            "We see a constant gain in performance for all the metrics [1x to 4x unlabelled]",
            unchecked,
            [True],
        )
        | {"status": "not checked"},
        claim(
            "6, Figure 4",
            "additional video samples even from the Kinetics dataset help",
            unchecked,
            [True],
        )
        | {"status": "not checked"},
        claim(
            "6, Table 4",
            "We only observe a marginal to negligible drop [untrimmed]",
            f"{drop}",
            [-1 < x <= 0 for x in drop],
        ),
        claim(
            "6.1, Table 5",
            "we see an overall improvement of 30% over the supervised baseline",
            f"{gain10} points, {gain10 / VOS['10%']:.0%} of the baseline",
            [near(gain10, 30) or near(100 * gain10 / VOS["10%"], 30)],
        ),
    ]
    return SimpleNamespace(drop=drop, average=average, gain10=gain10, unchecked=unchecked, DATA=DATA)


@pytest.fixture
def setup_12(setup_1, setup_5):
    results = setup_1.results
    claim = setup_5.claim
    def side(low, high, claim):
        "1: an interval shows what is claimed, -1: the contrary, 0: neither."
        if claim == "same":
            return 1 if -2 <= low and high <= 2 else -1 if high < -2 or low > 2 else 0
        low, high = (low, high) if claim == "more" else (-high, -low)
        return 1 if low > 0 else -1 if high < 0 else 0


    def ours(study, row, over, metrics=("f_map_50", "v_map_50"), claim="more"):
        "Our paired differences in two scores (of objects: J), and what they say."
        scores = pd.read_csv(results / f"{study}.csv")
        metrics = ["average"] if "average" in scores else metrics
        lines = [paired(scores, metric, over).loc[row] for metric in metrics]
        sides = [side(d.low, d.high, claim) for d in lines]
        words = {1: "holds", 0: "not shown", -1: "does not"}
        status = words[min(sides)] if len(set(sides)) == 1 or min(sides) < 0 else "in part"
        text = ", ".join(f"{d.gain:+.1f} [{d.low:+.1f}, {d.high:+.1f}]" for d in lines)
        return f"**{status}**: {text}"
    return SimpleNamespace(side=side, ours=ours)


def test_an_interval_has_three_sides(setup_12):
    side = setup_12.side
    assert [side(*x, "more") for x in ((1, 3), (-1, 3), (-3, -1))] == [1, 0, -1]
    assert [side(*x, "less") for x in ((1, 3), (-1, 3), (-3, -1))] == [-1, 0, 1]
    assert [side(*x, "same") for x in ((-1, 1), (-1, 3), (-9, -3))] == [1, 0, -1]


@pytest.fixture
def setup_13(setup_5, setup_10, setup_12):
    claim = setup_5.claim
    said = setup_10.said
    ours = setup_12.ours
    ALL = "supervised, all labels"
    AGREED = "dice, names agree, aligned"


    def in_all(row, over, study, real=None):
        "The same two rows from scratch, pretrained, and of `real` under other names."
        first = "stronger" if study == "comparison" else study
        drawn = (first, row, over), (f"drawn/{study}-drawn", row, over)
        return *drawn, ("real/real", *real) if real else None


    WORLDS = [  # sentence, what it claims, where to look in each world
        (
            "unlabelled videos gain: plain L2 over supervision",
            "more",
            in_all("L2", "supervised", "ablation", ("L2", "supervised")),
        ),
        ("gradient smoothness over supervision", "more", in_all("G", "supervised", "ablation")),
        (
            "the whole method gains over supervision",
            "more",
            (
                ("stronger", "ours", "supervised"),
                ("drawn/ablation-drawn", "V, cyclic", "supervised"),
                ("real/real", "V, cyclic", "supervised"),
            ),
        ),
        (
            "it matches supervision with all labels",
            "same",
            in_all("ours", ALL, "comparison", ("V, cyclic", ALL)),
        ),
        ("class consistency gains", "more", in_all("CC", "supervised", "consistency")),
        ("place gains more than class", "more", in_all("LC", "CC", "consistency")),
        ("both gain what place does", "same", in_all("CC + LC", "LC", "consistency")),
        (
            "the cyclic variance gains over plain L2",
            "more",
            in_all("V, cyclic", "L2", "ablation", ("V, cyclic", "L2")),
        ),
        ("gradient smoothness gains over plain L2", "more", in_all("G", "L2", "ablation")),
        (
            "the variance without its ring gains over it",
            "more",
            in_all("V, not cyclic", "L2", "ablation"),
        ),
        ("the ring gains over no ring", "more", in_all("V, cyclic", "V, not cyclic", "ablation")),
        (
            "*ours:* the ring without its seams gains over the ring",
            "more",
            (None, ("drawn/ablation-drawn", "V, views apart", "V, cyclic"), None),
        ),
        ("the method is ahead of pseudo-label", "more", in_all("ours", "pseudo-label", "comparison")),
        ("... of Co-SSD", "more", in_all("ours", "Co-SSD (CC)", "comparison")),
        (
            "Co-SSD is ahead of pseudo-label",
            "more",
            in_all("Co-SSD (CC)", "pseudo-label", "comparison"),
        ),
        ("MixMatch is behind supervision", "less", in_all("MixMatch", "supervised", "comparison")),
        ("more unlabelled videos gain (Figure 5)", "more", in_all("all", "1x", "unlabelled")),
        (
            "those of other kinds do (Figure 4)",
            "more",
            in_all("out of domain", "ours", "extra"),
        ),
        ("untrimmed ones cost little (Table 4)", "same", in_all("untrimmed", "trimmed", "untrimmed")),
        (
            "objects gain (Table 5)",
            "more",
            (
                ("vos", "semi-supervised, 10%", "supervised, 10%"),
                ("drawn/vos-drawn", "semi-supervised, 10%", "supervised, 10%"),
                ("real/real-objects", "semi-supervised", "supervised"),
            ),
        ),
        (
            "*not in the paper:* a mean teacher gains over supervision",
            "more",
            in_all("mean teacher", "supervised", "comparison", ("mean teacher", "supervised")),
        ),
        (
            "*not in the paper:* own answers by Dice gain over supervision",
            "more",
            (None, ("drawn/goal-drawn", "own answer, dice alone, weight 3", "supervised"), None),
        ),
        (
            "*not in the paper:* a mean teacher gains more by Dice alone",
            "more",
            (None, ("drawn/teachers-drawn", "dice", "mean teacher"), None),
        ),
        (
            "*not in the paper:* names that agree with an average's gain accuracy and strict f-mAP",
            "more",
            (
                None,
                ("drawn/teachers-drawn", AGREED, "dice", ("accuracy", "strict_f_map_50")),
                None,
            ),
        ),
        (
            "*not in the paper:* more unlabelled videos gain, of the best teacher",
            "more",
            (None, ("drawn/videos-drawn", "all", "1x"), None),
        ),
        (
            "*our cross:* gradient smoothness gains over plain squares, with a teacher's answers",
            "more",
            (None, ("drawn/teachers-drawn", "gradient mask", "plain"), None),
        ),
        (
            "*its successor:* a stable mean teacher gains over a mean teacher",
            "more",
            (None, ("drawn/teachers-drawn", "both", "mean teacher"), None),
        ),
        (
            "... over an average's answers by squares",
            "more",
            (None, ("drawn/teachers-drawn", "both", "plain"), None),
        ),
        (
            "*not in the paper:* a mean teacher gains over the method",
            "more",
            in_all("mean teacher", "ours", "comparison", ("mean teacher", "V, cyclic")),
        ),
    ]


    def three_worlds():
        "A row a comparison."
        names = "from scratch", "pretrained", "real people"
        said = [[ours(*x, claim=claim) if x else "" for x in where] for _, claim, where in WORLDS]
        return [{"claim": c} | dict(zip(names, x)) for (c, *_), x in zip(WORLDS, said)]
    return SimpleNamespace(ALL=ALL, AGREED=AGREED, in_all=in_all, WORLDS=WORLDS, three_worlds=three_worlds)


@pytest.fixture
def setup_14(setup_6, setup_7, setup_8, setup_9, setup_10, setup_11):
    MAIN = setup_6.MAIN
    PARTS = setup_7.PARTS
    MASK = setup_8.MASK
    OTHERS = setup_9.OTHERS
    LEVELS = setup_10.LEVELS
    DATA = setup_11.DATA
    everything = pd.DataFrame(MAIN + PARTS + MASK + OTHERS + LEVELS + DATA)
    everything["status"] = everything.status.str.strip("*")
    return SimpleNamespace(everything=everything)


def test_these_claims_do_not_hold_by_the_tables_and_the_central_one_does(setup_2, setup_6, setup_8, setup_9, setup_10, setup_11, setup_14):
    SEMI = setup_2.SEMI
    gained = setup_6.gained
    over_l2 = setup_8.over_l2
    pseudo = setup_9.pseudo
    ahead = setup_10.ahead
    better = setup_10.better
    over_weak = setup_10.over_weak
    gain10 = setup_11.gain10
    everything = setup_14.everything
    texts = everything[everything.status == "does not"]["the paper says"]
    wrong = (
        "v-mAP@0.2 and 0.5 outperform all",
        "improvement of 30%",
        "apart from [51]",
        "189 lab",
    )
    assert [sum(words in text for text in texts) for words in wrong] == [1] * len(texts)
    assert gain10 == 26.7 and pseudo == [6.5, 6.1] and over_weak == [34.0, 37.1]
    assert len(ahead["f50"]) == 6 and len(better) == 2
    assert gained == [8.9, 11.0] and SEMI.idxmax().eq("theirs").all()
    assert max(abs(x) for gains in over_l2.values() for x in gains) < 2
