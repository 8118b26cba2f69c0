//! First light: three national hubs found a consortium, share an event under TLP, lose a hub, survive a crash, are audited.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::{handshake, release_words};
use crate::answers::PublishedObject;
use crate::audit;
use crate::crash::{self, Moment};
use crate::figures;
use crate::fixture::{self, BEACON_UUID, GREEN_VALUE, GROUP_VALUE, RED_VALUE, UPDATE_VALUE, VICTIM_VALUE};
use crate::founding::{self, Founded, GroupPlan};
use crate::network::Network;
use crate::process::{Lifetime, Programs};
use crate::sim::SeededRandom;
use crate::story::Story;
use crate::topology::Topology;

const AUSTRIA: usize = 0;
const LUXEMBOURG: usize = 1;
const ESTONIA: usize = 2;
const HUBS: usize = 3;
const OFFICERS: usize = 3;
const GROUP: GroupPlan<'_> = GroupPlan { name: "Beacon working group", members: &["AT", "LU"] };
/// How the event is addressed: Estonia by name (it may have TLP:RED), Luxembourg by its group.
const ADDRESSING: [&str; 6] = ["--to", "EE", "--group", GROUP.name, "--lane", "urgent"];
/// Small events while one hub is killed.
const CRASH_EVENTS: usize = 40;
/// How long other hubs may take to name a head in their own logs.
const CONFIRM_DEADLINE: Duration = Duration::from_secs(150);

/// Tells the story in a new directory.
pub(crate) fn run(directory: &Path, seed: u64) -> Result<()> {
    let programs = Programs::locate()?;
    let topology = Topology::create(directory, HUBS, OFFICERS)?;
    let story = Story::new();
    println!("First light: three national hubs share one event under TLP, and an auditor checks what happened.");
    println!("Real programs on this machine, in {}; nothing leaves it.", directory.display());

    let founded = founding::found(&story, &programs, &topology, Some(GROUP))?;
    let mut network = story.step("Start the three hubs", || start(&story, &programs, &topology))?;
    story.step("A classical TLS client knocks", || knock(&story, &network))?;
    let mut tale =
        Tale { story: &story, network: &mut network, directory, founded, random: SeededRandom::new(seed), agreed: 0 };
    let figures = tale.tell(&programs)?;
    drop(network);

    println!("\nThe story in short");
    figures.tell(&story);
    Ok(())
}

fn start<'a>(story: &Story, programs: &'a Programs, topology: &'a Topology) -> Result<Network<'a>> {
    let mut network = Network::start(programs, topology, Lifetime::Story)?;
    network.wait_until_connected()?;
    let mut rows = Vec::new();
    for (n, hub) in network.hubs().enumerate() {
        let memory =
            network.pid(n).and_then(figures::resident_mib).map_or_else(String::new, |mib| format!("{mib} MiB"));
        let status = hub.status()?;
        let what = format!("{} peers connected, log opened with {} leaves", status.peers, status.signed_size);
        rows.push(vec![hub.site.name.clone(), format!("127.0.0.1:{}", hub.site.port), memory, what]);
    }
    story.table(&rows);
    Ok(network)
}

fn knock(story: &Story, network: &Network<'_>) -> Result<()> {
    match handshake::classical_client_is_refused(network.hub(AUSTRIA).site)? {
        Some(answer) => story.say(&format!(
            "Hubs agree on keys with ML-KEM-1024 and P-384 together, never with an elliptic curve alone. {answer}."
        )),
        None => story.say("Skipped: there is no `openssl` on this machine."),
    }
    Ok(())
}

/// The part of the story in which the hubs run.
struct Tale<'t, 'a> {
    story: &'t Story,
    network: &'t mut Network<'a>,
    directory: &'t Path,
    founded: Founded,
    random: SeededRandom,
    /// POSIX seconds at which all hubs held everything, before the crash.
    agreed: u64,
}

/// What the story ends with.
#[derive(Debug, Default)]
struct Figures {
    units: usize,
    released: Vec<(String, usize, usize)>,
    publish: Duration,
    everywhere: Duration,
    caught_up: Duration,
    acknowledged: usize,
    unanswered: usize,
    back: Duration,
    leaves: u64,
    objects: u64,
    sign_ms: Option<f64>,
    verdict: String,
    flipped: String,
}

impl Tale<'_, '_> {
    fn tell(&mut self, programs: &Programs) -> Result<Figures> {
        let mut figures = Figures::default();
        let event = fixture::write_beacon(self.directory, self.group()?)?;
        self.step("Austria asks what would be released (dry run)", |tale| tale.dry_run(&event))?;
        self.step("Austria publishes the event", |tale| tale.publish(&event, &mut figures))?;
        self.step("Luxembourg is away while Austria publishes an update", |tale| tale.away(&mut figures))?;
        self.step("Austria is killed (kill -9) while it publishes", |tale| tale.crash(&mut figures))?;
        let bundles = self.step("Each hub exports its log for its auditor", |tale| tale.export(&mut figures))?;
        figures.sign_ms = figures::sign_ms(self.network.hub(ESTONIA).site)?;
        self.network.stop_all()?;
        self.step("An auditor replays all three, offline", |tale| tale.audit(programs, &bundles, &mut figures))?;
        Ok(figures)
    }

    fn step<T>(&mut self, title: &str, body: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let story = self.story;
        story.step(title, || body(self))
    }

    fn dry_run(&mut self, event: &Path) -> Result<()> {
        let before = self.network.hub(AUSTRIA).status()?.size;
        let options: Vec<&str> = ADDRESSING.into_iter().chain(["--dry-run"]).collect();
        let object = self.publish_one(event, &options)?;
        self.story.say(&format!(
            "One MISP event, {} units under every TLP level, one of them a victim. Estonia is named, the working group is \
             Austria and Luxembourg.",
            object.units
        ));
        release_words::tell(self.story, &object, &|country| self.name(country));
        if !object.views.is_empty() || object.release.is_some() {
            bail!("a dry run released something");
        }
        let after = self.network.hub(AUSTRIA).status()?.size;
        self.story.say(&format!("Nothing was sent: the log has {after} leaves, {before} before."));
        Ok(())
    }

    fn publish(&mut self, event: &Path, figures: &mut Figures) -> Result<()> {
        let began = Instant::now();
        let object = self.publish_one(event, &ADDRESSING)?;
        figures.publish = began.elapsed();
        figures.units = object.units;
        for hub in &object.hubs {
            figures.released.push((self.name(&hub.country), hub.released.len(), hub.held.len()));
        }
        self.wait_for(&[LUXEMBOURG, ESTONIA], &object)?;
        figures.everywhere = began.elapsed();
        self.network.wait_until_equal()?;
        self.story.say(&format!(
            "{} views went out, each encrypted for exactly its hubs; with the decision record that makes {} leaves in \
             Austria's log, signed in {:.0} ms and opened by both other hubs after {:.1} s.",
            object.views.len(),
            object.leaves().count(),
            figures.publish.as_secs_f64() * 1_000.0,
            figures.everywhere.as_secs_f64()
        ));
        self.check_units(&object)?;
        self.look_for_values()
    }

    /// Every hub shows exactly the units that the answer promised.
    fn check_units(&self, object: &PublishedObject) -> Result<()> {
        for release in &object.hubs {
            let hub = self.by_country(&release.country)?;
            let shown = self.network.hub(hub).show(&object.uuid)?.context("the object is gone")?;
            if shown.units.len() != release.released.len() || !shown.included {
                let (has, promised) = (shown.units.len(), release.released.len());
                bail!(
                    "{} holds {has} units, {promised} were released to it; proof: {}",
                    release.country,
                    shown.included
                );
            }
        }
        Ok(())
    }

    /// Looks for one value of each kind at every hub.
    fn look_for_values(&self) -> Result<()> {
        let expected = [
            ("TLP:GREEN", GREEN_VALUE, [true, true, true]),
            ("TLP:AMBER for the group", GROUP_VALUE, [true, true, false]),
            ("TLP:RED for Estonia", RED_VALUE, [true, false, true]),
            ("the victim", VICTIM_VALUE, [true, false, false]),
        ];
        let names = self.network.hubs().map(|hub| hub.site.name.clone());
        let mut rows = vec![
            ["cresset search".to_owned(), String::new()].into_iter().chain(names).chain([String::new()]).collect(),
        ];
        for (what, value, held) in expected {
            let mut row = vec![value.to_owned(), what.to_owned()];
            for (hub, held) in self.network.hubs().zip(held) {
                if (hub.search(value)? > 0) != held {
                    let is = if held { "misses" } else { "holds" };
                    bail!("{} {is} `{value}` ({what})", hub.site.name);
                }
                row.push(if held { "found" } else { "-" }.to_owned());
            }
            row.push(String::new());
            rows.push(row);
        }
        self.story.table(&rows);
        Ok(())
    }

    fn away(&mut self, figures: &mut Figures) -> Result<()> {
        let update = fixture::write_beacon_update(self.directory, self.group()?)?;
        self.network.stop(LUXEMBOURG)?;
        self.story.say("Luxembourg stops (SIGTERM).");
        let object = self.publish_one(&update, &ADDRESSING)?;
        self.wait_for(&[ESTONIA], &object)?;
        self.story.say(&format!(
            "Austria publishes version {} with one more domain under TLP:GREEN. Estonia has it.",
            object.version
        ));
        let began = Instant::now();
        self.network.restart(LUXEMBOURG)?;
        self.wait_for(&[LUXEMBOURG], &object)?;
        self.network.wait_until_equal()?;
        // Leaves of the same second may come later: only what is older counts as agreed.
        self.agreed = jiff::Timestamp::now().as_second().unsigned_abs().saturating_sub(1);
        figures.caught_up = began.elapsed();
        if self.network.hub(LUXEMBOURG).search(UPDATE_VALUE)? == 0 {
            bail!("Luxembourg has the update but does not find `{UPDATE_VALUE}`");
        }
        self.story.say(&format!(
            "Luxembourg starts again and has caught up {:.1} s later, leaf by leaf; `cresset search {UPDATE_VALUE}` finds \
             the event there.",
            figures.caught_up.as_secs_f64()
        ));
        Ok(())
    }

    fn crash(&mut self, figures: &mut Figures) -> Result<()> {
        let files = crash::write_events(self.directory, "crash", CRASH_EVENTS)?;
        let moment = Moment::within(CRASH_EVENTS, &mut self.random);
        let promises = crash::kill_while_publishing(self.network, AUSTRIA, &files, moment)?;
        (figures.acknowledged, figures.unanswered) = (promises.objects.len(), promises.unanswered);
        self.story.say(&format!(
            "Three clients publish {CRASH_EVENTS} small events; Austria is killed {} ms after acknowledgement {}. {} were \
             acknowledged, {} got no answer.",
            moment.then_ms, moment.acknowledged, figures.acknowledged, figures.unanswered
        ));
        let began = Instant::now();
        self.network.restart(AUSTRIA)?;
        self.network.wait_until_connected()?;
        figures.back = began.elapsed();
        self.network.wait_until_equal()?;
        crash::check_promises(self.network, AUSTRIA, &promises)?;
        self.story.say(&format!(
            "Started again, it first asks its peers what they hold of its log, and signs {:.1} s later. Every acknowledged \
             event is in its log and at all three hubs; nothing was signed twice.",
            figures.back.as_secs_f64()
        ));
        Ok(())
    }

    fn export(&mut self, figures: &mut Figures) -> Result<Vec<PathBuf>> {
        self.wait_until_confirmed()?;
        let (mut bundles, mut rows) = (Vec::new(), Vec::new());
        for n in 0..HUBS {
            let hub = self.network.hub(n);
            let bundle = self.directory.join(format!("bundle-{}", hub.site.country.to_lowercase()));
            let exported = hub.export(&bundle)?;
            let status = hub.status()?;
            figures.leaves += status.signed_size;
            figures.objects = figures.objects.max(status.objects);
            let what = format!(
                "{} files, {} leaves: its own log and its copies of the others'",
                exported.files, exported.leaves
            );
            rows.push(vec![hub.site.name.clone(), what]);
            bundles.push(bundle);
        }
        self.story.table(&rows);
        Ok(bundles)
    }

    /// Once other Member States' logs name a head that includes the event, Austria cannot rewrite it unseen.
    fn wait_until_confirmed(&mut self) -> Result<()> {
        self.story.say("A minute of quiet: within it each hub names the newest heads of the others in its own log.");
        let others = HUBS - 1;
        let confirmed = self.network.wait(AUSTRIA, "the others to confirm the event", CONFIRM_DEADLINE, |hub| {
            let by = hub.show(BEACON_UUID)?.context("the event is gone")?.anchoring.confirmed_by;
            if by.len() < others {
                bail!("it is confirmed by {} of {others}", by.len());
            }
            Ok(Some(by))
        })?;
        let names: Vec<String> = confirmed.iter().map(|country| self.name(country)).collect();
        self.story.say(&format!(
            "The event is confirmed in the logs of {}: from now on Austria could not deny it.",
            names.join(" and ")
        ));
        Ok(())
    }

    fn audit(&mut self, programs: &Programs, bundles: &[PathBuf], figures: &mut Figures) -> Result<()> {
        let began = Instant::now();
        let untouched = audit::replay(programs, bundles, &self.founded.consortium, Some(self.agreed))?;
        let seconds = began.elapsed().as_secs_f64();
        figures.verdict = untouched.verdict.clone();
        self.story.say(&format!(
            "Every leaf, head, signature, opening and release decision is checked again from the three bundles alone, in \
             {seconds:.1} s. Everything up to the update must be confirmed in another hub's log too."
        ));
        if untouched.code >= FAULT_MIN {
            bail!("the audit of what the hubs exported is {}:{}", untouched.verdict, untouched.findings());
        }
        let flip = audit::flip(&bundles[AUSTRIA], &mut self.random)?;
        let flipped = audit::replay(programs, bundles, &self.founded.consortium, Some(self.agreed))?;
        flip.undo()?;
        figures.flipped = flipped.verdict.clone();
        let row = |what: &str, replay: &audit::Replay| {
            vec![what.to_owned(), replay.verdict.clone(), format!("exit {}", replay.code)]
        };
        self.story.table(&[row("as exported", &untouched), row("one bit flipped", &flipped)]);
        let (place, name) = (flip.position, short(&flip.name));
        self.story.say(&format!("The bit is in byte {place} of {} of {name} in Austria's bundle.", flip.len));
        if flipped.verdict == untouched.verdict {
            bail!("a flipped bit did not change the verdict: {} at {}", flip.name, flip.position);
        }
        Ok(())
    }

    /// Publishes a document with one object.
    fn publish_one(&self, file: &Path, options: &[&str]) -> Result<PublishedObject> {
        let mut objects = self.network.hub(AUSTRIA).publish(file, options)?.objects;
        match (objects.pop(), objects.is_empty()) {
            (Some(object), true) => Ok(object),
            _ => bail!("the answer is not about one object"),
        }
    }

    fn wait_for(&mut self, hubs: &[usize], object: &PublishedObject) -> Result<()> {
        for &n in hubs {
            let what = format!("version {} of the event", object.version);
            self.network.wait(n, &what, ARRIVAL_DEADLINE, |hub| {
                Ok(hub.show(&object.uuid)?.filter(|shown| shown.summary.version == object.version).map(drop))
            })?;
        }
        Ok(())
    }

    fn group(&self) -> Result<&str> {
        self.founded.group.as_deref().context("the roster has no group")
    }

    fn name(&self, country: &str) -> String {
        let site = self.network.hubs().map(|hub| hub.site).find(|site| site.country == country);
        site.map_or_else(|| country.to_owned(), |site| site.name.clone())
    }

    fn by_country(&self, country: &str) -> Result<usize> {
        let position = self.network.hubs().position(|hub| hub.site.country == country);
        position.with_context(|| format!("there is no hub of {country}"))
    }
}

/// A path in a bundle with its log id cut short.
fn short(path: &str) -> String {
    let cut = |part: &str| part.chars().take(LOG_ID_SHOWN).collect::<String>() + "..";
    let shown = path.split('/').map(|part| if part.len() == LOG_ID_LEN { cut(part) } else { part.to_owned() });
    shown.collect::<Vec<_>>().join("/")
}

/// Hexadecimal digits of a log id, and how many are shown.
const LOG_ID_LEN: usize = 64;
const LOG_ID_SHOWN: usize = 8;
/// How long an object may take to arrive.
const ARRIVAL_DEADLINE: Duration = Duration::from_secs(60);
/// Exit codes of a replay from here on say that something does not verify.
const FAULT_MIN: i32 = 20;

impl Figures {
    fn tell(&self, story: &Story) {
        let per_hub =
            self.released.iter().map(|(name, released, held)| format!("{name} {released} (held back {held})"));
        let ms = |duration: Duration| format!("{:.0} ms", duration.as_secs_f64() * 1_000.0);
        let seconds = |duration: Duration| format!("{:.1} s", duration.as_secs_f64());
        let rows = [
            ("released", format!("of {} units: {}", self.units, per_hub.collect::<Vec<_>>().join(", "))),
            (
                "speed",
                format!(
                    "published and signed in {}, opened by both other hubs after {}",
                    ms(self.publish),
                    seconds(self.everywhere)
                ),
            ),
            ("away", format!("Luxembourg caught up in {}", seconds(self.caught_up))),
            (
                "crash",
                format!(
                    "{} acknowledged, {} unanswered, none of the acknowledged lost; back in {}",
                    self.acknowledged,
                    self.unanswered,
                    seconds(self.back)
                ),
            ),
            (
                "signing",
                self.sign_ms.map_or_else(
                    || "not measured".to_owned(),
                    |ms| format!("about {:.0} ms for a head on the software token, both signatures", ms.max(1.0)),
                ),
            ),
            ("logs", format!("{} leaves in three logs, {} objects", self.leaves, self.objects)),
            ("audit", format!("{} as exported, {} with one bit flipped", self.verdict, self.flipped)),
            ("in all", format!("{:.0} s; nothing is left running", story.seconds())),
        ];
        story.table(&rows.map(|(what, text)| vec![what.to_owned(), text]));
    }
}
