//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Found a consortium, admit hubs, keep the roster.
#[derive(Debug, Parser)]
#[command(name = "cresset-pki", version, about, propagate_version = true)]
pub(crate) struct Cli {
    /// Print one JSON document instead of text.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Found a consortium.
    #[command(subcommand)]
    Ceremony(CeremonyCommand),
    /// Look at enrolment requests.
    #[command(subcommand)]
    Request(RequestCommand),
    /// Approve an enrolment request as an officer.
    Approve(ApproveArguments),
    /// Reject an enrolment request as an officer.
    Reject(RejectArguments),
    /// Issue the TLS certificate and welcome bundle of a hub that the roster lists.
    Issue(IssueArguments),
    /// Make, sign and check roster versions.
    #[command(subcommand)]
    Roster(RosterCommand),
    /// Suspend a hub for at most 48 hours, as one officer.
    Suspend(SuspendArguments),
    /// Prepare tokens.
    #[command(subcommand)]
    Token(TokenCommand),
    /// Say in words what a file is.
    Inspect(InspectArguments),
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Give an empty token its label and PINs. A token that holds anything is never touched.
    Init(TokenInitArguments),
}

#[derive(Debug, Args)]
pub(crate) struct TokenInitArguments {
    /// Absolute path of the PKCS#11 module.
    #[arg(long, value_name = "FILE")]
    pub(crate) module: PathBuf,
    /// Label of the token, not used yet.
    #[arg(long)]
    pub(crate) label: String,
    /// Slot of the empty token; the first empty one if absent.
    #[arg(long)]
    pub(crate) slot: Option<u64>,
    /// File with the security officer's PIN, readable by its owner only; asked for if absent.
    #[arg(long, value_name = "FILE")]
    pub(crate) so_pin_file: Option<PathBuf>,
    /// File with the user's PIN, readable by its owner only; asked for if absent.
    #[arg(long, value_name = "FILE")]
    pub(crate) pin_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CeremonyCommand {
    /// Create root, issuing CA and officers, and sign roster version 0 with all of them.
    Found(FoundArguments),
}

#[derive(Debug, Args)]
pub(crate) struct FoundArguments {
    /// Name of the consortium.
    #[arg(long)]
    pub(crate) name: String,
    /// Configuration of the root's key store.
    #[arg(long, value_name = "CONFIG")]
    pub(crate) root: PathBuf,
    /// Configuration of the issuing CA's key store.
    #[arg(long, value_name = "CONFIG")]
    pub(crate) issuing: PathBuf,
    /// Configuration of an officer's key store; once per officer.
    #[arg(long, value_name = "CONFIG", required = true)]
    pub(crate) officer: Vec<PathBuf>,
    /// Officers whose signatures make a roster valid; a majority of them if absent.
    #[arg(long)]
    pub(crate) quorum: Option<u32>,
    /// Life of roster version 0 in days.
    #[arg(long, default_value_t = 365)]
    pub(crate) days: u64,
    /// New directory for the public files.
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) out: PathBuf,
}

/// Which chain to work on, and how to know that it is the right one.
#[derive(Debug, Args)]
pub(crate) struct ChainArguments {
    /// Roster chain file.
    #[arg(long, value_name = "FILE")]
    pub(crate) roster: PathBuf,
    /// Consortium id, from out of band: hexadecimal, or a file with it.
    #[arg(long, value_name = "ID")]
    pub(crate) consortium: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RequestCommand {
    /// Show a request in words, with each check and its result.
    Review(ReviewArguments),
}

#[derive(Debug, Args)]
pub(crate) struct ReviewArguments {
    /// Request file.
    pub(crate) request: PathBuf,
    #[command(flatten)]
    pub(crate) chain: ChainArguments,
}

#[derive(Debug, Args)]
pub(crate) struct ApproveArguments {
    /// Request file.
    pub(crate) request: PathBuf,
    #[command(flatten)]
    pub(crate) chain: ChainArguments,
    /// Configuration of the officer's key store.
    #[arg(long, value_name = "CONFIG")]
    pub(crate) officer: PathBuf,
    /// Note for the record.
    #[arg(long)]
    pub(crate) reason: Option<String>,
    /// Where to write the approval.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct RejectArguments {
    /// Request file.
    pub(crate) request: PathBuf,
    #[command(flatten)]
    pub(crate) chain: ChainArguments,
    /// Configuration of the officer's key store.
    #[arg(long, value_name = "CONFIG")]
    pub(crate) officer: PathBuf,
    /// Why.
    #[arg(long)]
    pub(crate) reason: String,
    /// Where to write the rejection.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct IssueArguments {
    /// Configuration of the issuing CA's key store.
    #[arg(long, value_name = "CONFIG")]
    pub(crate) issuing: PathBuf,
    /// Directory with the public files of the ceremony (root.pem, issuing.pem).
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) ceremony: PathBuf,
    #[command(flatten)]
    pub(crate) chain: ChainArguments,
    /// Enrolment request of the hub.
    #[arg(long, value_name = "FILE")]
    pub(crate) request: PathBuf,
    /// Where to write the certificate chain (PEM).
    #[arg(long, value_name = "FILE")]
    pub(crate) certificate: PathBuf,
    /// Where to write the welcome bundle, encrypted to the hub.
    #[arg(long, value_name = "FILE")]
    pub(crate) welcome: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RosterCommand {
    /// Write the body of the next version.
    Next(Box<NextArguments>),
    /// Sign a body as an officer, after showing what changes.
    Sign(SignArguments),
    /// Add a signed body to the chain.
    Assemble(AssembleArguments),
    /// Show the newest version.
    Show(ShowArguments),
    /// Verify a chain from version 0.
    Verify(VerifyArguments),
}

#[derive(Debug, Args)]
pub(crate) struct NextArguments {
    #[command(flatten)]
    pub(crate) chain: ChainArguments,
    /// Admit the hub of this request; needs its approvals.
    #[arg(long, value_name = "FILE")]
    pub(crate) request: Vec<PathBuf>,
    /// An officer's approval of any of the requests.
    #[arg(long, value_name = "FILE")]
    pub(crate) approval: Vec<PathBuf>,
    /// Remove a hub for good.
    #[arg(long, value_name = "HUB")]
    pub(crate) remove: Vec<String>,
    /// Suspend a hub until it is reinstated.
    #[arg(long, value_name = "HUB")]
    pub(crate) suspend: Vec<String>,
    /// End a suspension.
    #[arg(long, value_name = "HUB")]
    pub(crate) reinstate: Vec<String>,
    /// Create a sharing group, or give one other members: NAME=HUB,HUB,...
    #[arg(long, value_name = "NAME=HUBS")]
    pub(crate) group: Vec<String>,
    /// Dissolve a sharing group.
    #[arg(long, value_name = "NAME")]
    pub(crate) dissolve: Vec<String>,
    /// Set a hub's roles: HUB=ROLE,ROLE
    #[arg(long, value_name = "HUB=ROLES")]
    pub(crate) roles: Vec<String>,
    /// Digest of the policy bundle to put in force.
    #[arg(long, value_name = "HEX")]
    pub(crate) policy: Option<String>,
    /// Allow a country more than one active hub: "CC: reason".
    #[arg(long, value_name = "TEXT")]
    pub(crate) exception: Vec<String>,
    /// Extend the life of the roster without any other change.
    #[arg(long)]
    pub(crate) renew: bool,
    /// Life of the version in days.
    #[arg(long, default_value_t = 365)]
    pub(crate) days: u64,
    /// Configuration of an officer's key store; opens group documents.
    #[arg(long, value_name = "CONFIG")]
    pub(crate) officer: Option<PathBuf>,
    /// Where to write the unsigned body.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct SignArguments {
    /// Unsigned body.
    pub(crate) body: PathBuf,
    #[command(flatten)]
    pub(crate) chain: ChainArguments,
    /// Configuration of the officer's key store.
    #[arg(long, value_name = "CONFIG")]
    pub(crate) officer: PathBuf,
    /// Do not ask.
    #[arg(long)]
    pub(crate) yes: bool,
    /// Where to write the signature.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct AssembleArguments {
    /// The body that was signed.
    pub(crate) body: PathBuf,
    #[command(flatten)]
    pub(crate) chain: ChainArguments,
    /// An officer's signature.
    #[arg(long, value_name = "FILE", required = true)]
    pub(crate) signature: Vec<PathBuf>,
    /// Where to write the longer chain.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArguments {
    /// Roster chain file.
    pub(crate) roster: PathBuf,
    /// Consortium id; without it the chain is only shown to be consistent in itself.
    #[arg(long, value_name = "ID")]
    pub(crate) consortium: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArguments {
    /// Roster chain file.
    pub(crate) roster: PathBuf,
    /// Consortium id, from out of band: hexadecimal, or a file with it.
    #[arg(long, value_name = "ID")]
    pub(crate) consortium: String,
}

#[derive(Debug, Args)]
pub(crate) struct SuspendArguments {
    /// Hub: country, domain or hub id.
    pub(crate) hub: String,
    #[command(flatten)]
    pub(crate) chain: ChainArguments,
    /// Configuration of the officer's key store.
    #[arg(long, value_name = "CONFIG")]
    pub(crate) officer: PathBuf,
    /// For how many hours, at most 48.
    #[arg(long, default_value_t = 48)]
    pub(crate) hours: u64,
    /// Why; no personal data.
    #[arg(long)]
    pub(crate) reason: String,
    /// Where to write the statement.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct InspectArguments {
    /// Any file of this program.
    pub(crate) file: PathBuf,
}
