//! Founding a consortium and enrolling its hubs, with the programs and the files that officers would exchange.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::hub::Hub;
use crate::process::{Programs, run};
use crate::story::Story;
use crate::token;
use crate::topology::{HubSite, Topology, keystore_toml};

/// Name of every test consortium.
const NAME: &str = "Demonstration consortium";
/// Officers whose signatures make a roster valid.
const QUORUM: usize = 2;

/// A sharing group to create: its name and the countries of its members.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GroupPlan<'a> {
    pub(crate) name: &'a str,
    pub(crate) members: &'a [&'a str],
}

/// A founded consortium with all hubs enrolled.
#[derive(Clone, Debug)]
pub(crate) struct Founded {
    /// Consortium id.
    pub(crate) consortium: String,
    /// Hexadecimal id of the group that was asked for.
    pub(crate) group: Option<String>,
}

/// Founds, enrols, and leaves every hub ready to start.
pub(crate) fn found(
    story: &Story,
    programs: &Programs,
    topology: &Topology,
    group: Option<GroupPlan<'_>>,
) -> Result<Founded> {
    let office = Office { programs, topology };
    let consortium = story.step("Found a consortium", || office.ceremony(story))?;
    let hubs = topology.hubs.iter().map(|site| site.name.as_str()).collect::<Vec<_>>().join(", ");
    let group = story.step(&format!("Enrol {hubs}"), || office.enrol_all(story, &consortium, group))?;
    Ok(Founded { consortium, group })
}

struct Office<'a> {
    programs: &'a Programs,
    topology: &'a Topology,
}

impl Office<'_> {
    fn ceremony(&self, story: &Story) -> Result<String> {
        let authorities = [&self.topology.root_authority, &self.topology.issuing_authority];
        let holders: Vec<&Path> =
            authorities.into_iter().chain(&self.topology.officers).map(PathBuf::as_path).collect();
        for directory in &holders {
            let label = directory.file_name().unwrap_or_default().to_string_lossy();
            token::create(self.programs, directory, &label)?;
            self.write_keyholder(directory, &label)?;
        }
        let all = self.topology.root.join("ceremony-tokens.conf");
        token::write_configuration(&all, &holders)?;

        let mut command = self.programs.command("cresset-pki");
        command.args(["ceremony", "found", "--name", NAME, "--quorum", &QUORUM.to_string()]);
        command.arg("--root").arg(keyholder(&self.topology.root_authority));
        command.arg("--issuing").arg(keyholder(&self.topology.issuing_authority));
        for officer in &self.topology.officers {
            command.arg("--officer").arg(keyholder(officer));
        }
        command.arg("--out").arg(self.ceremony_directory());
        run(token::with_token(&mut command, &all), &[0])?;

        let id = self.ceremony_directory().join("consortium.id");
        let id = std::fs::read_to_string(&id).with_context(|| format!("`{}` is missing", id.display()))?;
        let id = id.trim().to_owned();
        story.say(&format!(
            "A root and an issuing authority, and {} officers of whom {QUORUM} must sign every list of members (the \
             roster). Each key was made on its own PKCS#11 token: ECDSA P-384 and, beside it, ML-DSA.",
            self.topology.officers.len()
        ));
        story.say(&format!("consortium id {id}"));
        Ok(id)
    }

    fn enrol_all(&self, story: &Story, consortium: &str, group: Option<GroupPlan<'_>>) -> Result<Option<String>> {
        for site in &self.topology.hubs {
            self.request(site, consortium).with_context(|| format!("{} cannot ask to be enrolled", site.name))?;
        }
        story.say("Each hub makes its keys on its token and signs a request with all of them.");
        let approvals = self.review_and_approve(consortium)?;
        story.say(&format!("{QUORUM} officers review and approve each request."));
        let group_id = self.next_roster(consortium, &approvals, group)?;
        for site in &self.topology.hubs {
            self.admit(site, consortium).with_context(|| format!("{} cannot be admitted", site.name))?;
        }
        story.say(&format!(
            "Roster version 1 lists {} hubs, signed by {QUORUM} officers; each hub gets its certificate in a bundle that only \
             its own key opens.",
            self.topology.hubs.len()
        ));
        if let Some(group) = group {
            story.say(&format!(
                "It also holds the sharing group `{}` of {}, encrypted: who is not in it sees neither its members nor \
                 how many they are.",
                group.name,
                group.members.join(" and ")
            ));
        }
        Ok(group_id)
    }

    fn request(&self, site: &HubSite, consortium: &str) -> Result<()> {
        token::create(self.programs, &site.directory, &site.domain)?;
        site.write_config(&self.programs.softtoken)?;
        let hub = Hub::new(self.programs, site);
        hub.run(&["init", "--consortium", consortium], &[0])?;
        let act = site.directory.join("designation-act.txt");
        std::fs::write(&act, format!("{} designates {} as its national hub.\n", site.name, site.domain))
            .context("cannot write the designation act")?;
        let mut command = hub.command(&["enrol", "request", "--country", &site.country, "--domain", &site.domain]);
        command.args(["--endpoint", &format!("127.0.0.1:{}@loopback", site.port), "--evidence"]).arg(&act);
        command.arg("--recovery-key-out").arg(site.directory.join("recovery.key"));
        command.arg("--founding").arg(self.roster(0)).arg("-o").arg(request_file(site));
        run(&mut command, &[0])?;
        Ok(())
    }

    fn review_and_approve(&self, consortium: &str) -> Result<Vec<PathBuf>> {
        let mut approvals = Vec::new();
        for site in &self.topology.hubs {
            let mut review = self.programs.command("cresset-pki");
            review.args(["request", "review"]).arg(request_file(site));
            run(self.with_chain(&mut review, 0, consortium), &[0])
                .with_context(|| format!("the request of {} does not pass review", site.name))?;
            for (n, officer) in self.topology.officers.iter().take(QUORUM).enumerate() {
                let approval = site.directory.join(format!("approval-{}.cbor", n + 1));
                let mut command = self.programs.command("cresset-pki");
                command.arg("approve").arg(request_file(site)).arg("--officer").arg(keyholder(officer));
                command.arg("--out").arg(&approval);
                self.run_as(officer, self.with_chain(&mut command, 0, consortium))?;
                approvals.push(approval);
            }
        }
        Ok(approvals)
    }

    /// Writes version 1 with every hub and the group; gives the group's id.
    fn next_roster(
        &self,
        consortium: &str,
        approvals: &[PathBuf],
        group: Option<GroupPlan<'_>>,
    ) -> Result<Option<String>> {
        let body = self.topology.root.join("roster-1.body.cbor");
        let mut next = self.programs.command("cresset-pki");
        next.args(["--json", "roster", "next", "--out"]).arg(&body);
        for site in &self.topology.hubs {
            next.arg("--request").arg(request_file(site));
        }
        for approval in approvals {
            next.arg("--approval").arg(approval);
        }
        if let Some(group) = group {
            next.arg("--group").arg(format!("{}={}", group.name, group.members.join(",")));
        }
        let written = run(self.with_chain(&mut next, 0, consortium), &[0])?;

        let mut assemble = self.programs.command("cresset-pki");
        assemble.args(["roster", "assemble"]).arg(&body).arg("--out").arg(self.roster(1));
        for (n, officer) in self.topology.officers.iter().take(QUORUM).enumerate() {
            let signature = self.topology.root.join(format!("roster-1.signature-{}.cbor", n + 1));
            let mut sign = self.programs.command("cresset-pki");
            sign.args(["roster", "sign", "--yes"]).arg(&body).arg("--officer").arg(keyholder(officer));
            sign.arg("--out").arg(&signature);
            self.run_as(officer, self.with_chain(&mut sign, 0, consortium))?;
            assemble.arg("--signature").arg(&signature);
        }
        run(self.with_chain(&mut assemble, 0, consortium), &[0])?;
        group.map(|_| group_id(&written)).transpose()
    }

    fn admit(&self, site: &HubSite, consortium: &str) -> Result<()> {
        let welcome = site.directory.join("welcome.cbor");
        let mut issue = self.programs.command("cresset-pki");
        issue.arg("issue").arg("--issuing").arg(keyholder(&self.topology.issuing_authority));
        issue.arg("--ceremony").arg(self.ceremony_directory()).arg("--request").arg(request_file(site));
        issue.arg("--certificate").arg(site.directory.join("certificate.pem")).arg("--welcome").arg(&welcome);
        self.run_as(&self.topology.issuing_authority, self.with_chain(&mut issue, 1, consortium))?;
        let mut finish = Hub::new(self.programs, site).command(&["enrol", "finish"]);
        run(finish.arg(&welcome), &[0])?;
        Ok(())
    }

    fn run_as(&self, holder: &Path, command: &mut Command) -> Result<Output> {
        run(token::with_token(command, &token::configuration_file(holder)), &[0])
    }

    fn with_chain<'c>(&self, command: &'c mut Command, version: u64, consortium: &str) -> &'c mut Command {
        command.arg("--roster").arg(self.roster(version)).args(["--consortium", consortium])
    }

    fn write_keyholder(&self, directory: &Path, label: &str) -> Result<()> {
        let role = if label.starts_with("officer") { format!("role = \"{label}\"\n\n") } else { String::new() };
        let text = format!("{role}[keystore]\n{}", keystore_toml(directory, &self.programs.softtoken, label));
        std::fs::write(keyholder(directory), text).context("cannot write a key holder's configuration")
    }

    fn ceremony_directory(&self) -> PathBuf {
        self.topology.root.join("ceremony")
    }

    fn roster(&self, version: u64) -> PathBuf {
        match version {
            0 => self.ceremony_directory().join("roster.cbor"),
            _ => self.topology.root.join(format!("roster-{version}.cbor")),
        }
    }
}

/// The id of the new group, from the changes that `roster next` names.
fn group_id(written: &Output) -> Result<String> {
    #[derive(Deserialize)]
    struct Written {
        changes: Vec<String>,
    }
    let written: Written = serde_json::from_slice(&written.stdout).context("`roster next --json` answers otherwise")?;
    let id = written.changes.iter().find_map(|change| change.strip_prefix("+ sharing group "));
    Ok(id.context("the new roster has no sharing group")?.trim().to_owned())
}

fn keyholder(directory: &Path) -> PathBuf {
    directory.join("keyholder.toml")
}

fn request_file(site: &HubSite) -> PathBuf {
    site.directory.join("request.cbor")
}
