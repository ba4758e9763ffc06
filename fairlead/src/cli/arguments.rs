//! The words of the command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use storage_core::{LabelSelector, VolumeName};

use crate::config;

/// Where a plugin on this host keeps its state.
const STATE: &str = "/var/lib/fairlead";

/// No array is waited for longer than this.
const TIMEOUT_MAX: Duration = Duration::from_secs(3600);

/// Volumes from a fleet of storage arrays, for containers.
///
/// Volumes are made and removed by whoever runs containers (`docker volume create -d fairlead`,
/// `docker volume rm`). This shows what there is and who holds it, beside a running plugin.
#[derive(Debug, Parser)]
#[command(
    name = "fairlead",
    version,
    after_help = "Exit codes: 0 fine; 1 an error, or the answer is no; 2 wrong usage; 3 the answer is \
not complete, as an array did not answer (named on standard error)."
)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Look after the configuration file.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// List and inspect volumes; have removed ones back.
    ///
    /// To make one: `docker volume create -d fairlead -o size=20GiB NAME`. To remove one:
    /// `docker volume rm NAME`.
    #[command(subcommand)]
    Volume(VolumeCommand),
    /// Look at the arrays; add them to the fleet and remove them from it.
    #[command(subcommand)]
    Array(ArrayCommand),
    /// Show who can reach which volume, and what is odd about it.
    #[command(
        after_help = "Examples:\n  fairlead connections\n  fairlead connections --volume data\n  \
fairlead connections --host node-1 -o json"
    )]
    Connections(ConnectionsArguments),
}

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Report every problem of a configuration file, with line, column and what to do.
    ///
    /// The environment counts too: it is what an adapter started with it would see. Exit code 0:
    /// no errors (there may be warnings); 1: errors; 2: wrong usage.
    Check(CheckArguments),
    /// Print the JSON Schema of the configuration file.
    Schema(SchemaArguments),
}

#[derive(Debug, Args)]
pub(super) struct SchemaArguments {
    /// Of what the commands answer with `-o json` instead.
    #[arg(long)]
    pub(super) answers: bool,
}

#[derive(Debug, Args)]
pub(super) struct CheckArguments {
    /// The file.
    #[arg(default_value = config::DEFAULT_PATH)]
    pub(super) file: PathBuf,
    /// How to print the findings.
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub(super) output: Output,
}

#[derive(Debug, Subcommand)]
pub(super) enum VolumeCommand {
    /// List the volumes of the namespace on every array.
    #[command(
        after_help = "Examples:\n  fairlead volume ls\n  fairlead volume ls --array array-1 --all\n  \
fairlead volume ls --selector 'rack in (7,8)' -o json"
    )]
    Ls(VolumeLsArguments),
    /// Show everything known of volumes, who holds them, and what to do next when one is stuck.
    #[command(after_help = "Example:\n  fairlead volume inspect data")]
    Inspect(InspectArguments),
    /// Take a volume from a host that is dead.
    ///
    /// The host gets I/O errors from then on, and what it has not written yet is lost. Nobody gets the
    /// volume by this: the next mount does.
    #[command(
        after_help = "Example:\n  fairlead volume release data --host node-1-0a1b2c3d\n\n\
The host is named as `fairlead volume inspect` shows it: the object on the array."
    )]
    Release(ReleaseArguments),
    /// What was removed and is still kept by its array.
    #[command(subcommand)]
    Trash(TrashCommand),
}

#[derive(Debug, Subcommand)]
pub(super) enum TrashCommand {
    /// List removed volumes, and how long they are kept.
    Ls(TrashLsArguments),
    /// Make a removed volume a volume again.
    ///
    /// Refused where any array has a volume of the name, or does not answer and may have one.
    #[command(after_help = "Examples:\n  fairlead volume trash recover data\n  \
fairlead volume trash recover data --name data-before\n  \
fairlead volume trash recover prod-fl-trash-3a6eb0790f39ac87-1b2c3d4e")]
    Recover(RecoverArguments),
}

#[derive(Debug, Subcommand)]
pub(super) enum ArrayCommand {
    /// List the configured arrays: whether they answer, how full they are, which are the fleet.
    Ls(ArrayLsArguments),
    /// Make a configured array a member of the fleet, so that new volumes are placed there.
    ///
    /// Put it in every node's configuration first, then run this on one. New names wait on all nodes
    /// for about two minutes; volumes that exist are served. Repeat it after an error or a crash: it
    /// goes on. It is refused, with everything as it was, when the array has names that others have.
    #[command(after_help = "Example:\n  fairlead array add array-3.example.com")]
    Add(ArrayChangeArguments),
    /// End an array's membership, once it has no volumes of the fleet.
    ///
    /// Take it out of every node's configuration afterwards. As with `add`, new names wait for about
    /// two minutes. The array must answer; what is in its trash stays there. One that never will again
    /// is given up with `--lost`.
    #[command(
        after_help = "Examples:\n  fairlead array remove array-3\n  fairlead array remove array-2 --lost"
    )]
    Remove(ArrayRemoveArguments),
}

/// What every command that asks arrays takes.
#[derive(Debug, Args)]
pub(super) struct Asking {
    /// Configuration file, as the adapters read it.
    #[arg(long, default_value = config::DEFAULT_PATH)]
    pub(super) config: PathBuf,
    /// How to print the answer.
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub(super) output: Output,
    /// How long arrays are waited for in all.
    #[arg(long, default_value = "30s", value_parser = timeout)]
    pub(super) timeout: Duration,
}

#[derive(Debug, Args)]
pub(super) struct VolumeLsArguments {
    #[command(flatten)]
    pub(super) asking: Asking,
    /// Only this array's: its address, name or id.
    #[arg(long)]
    pub(super) array: Option<String>,
    /// Only those that match, by their array's labels and their own: `k=v`, `k in (a,b)`, `!k`.
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(super) selector: LabelSelector,
    /// Also removed ones, wholly and half.
    #[arg(long)]
    pub(super) all: bool,
}

#[derive(Debug, Args)]
pub(super) struct InspectArguments {
    #[command(flatten)]
    pub(super) asking: Asking,
    /// Folder with this host's state.
    #[arg(long, default_value = STATE)]
    pub(super) state_dir: PathBuf,
    /// The volumes.
    #[arg(required = true, value_parser = volume_name)]
    pub(super) names: Vec<VolumeName>,
}

#[derive(Debug, Args)]
pub(super) struct TrashLsArguments {
    #[command(flatten)]
    pub(super) asking: Asking,
}

#[derive(Debug, Args)]
pub(super) struct RecoverArguments {
    #[command(flatten)]
    pub(super) asking: Asking,
    /// The volume: the name that it had, or the object where several had it.
    #[arg(value_name = "NAME|OBJECT")]
    pub(super) which: String,
    /// The name that it gets; by default the one it had.
    #[arg(long, value_parser = volume_name)]
    pub(super) name: Option<VolumeName>,
    /// The array whose trash it is in: its address, name or id.
    #[arg(long)]
    pub(super) array: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct ReleaseArguments {
    #[command(flatten)]
    pub(super) asking: Asking,
    /// The volume.
    #[arg(value_parser = volume_name)]
    pub(super) name: VolumeName,
    /// The host that has it: its object on the array.
    #[arg(long, value_name = "HOLDER")]
    pub(super) host: String,
}

#[derive(Debug, Args)]
pub(super) struct ArrayLsArguments {
    #[command(flatten)]
    pub(super) asking: Asking,
}

#[derive(Debug, Args)]
pub(super) struct ArrayChangeArguments {
    /// Its address, name or id.
    pub(super) array: String,
    /// Configuration file, as the adapters read it.
    #[arg(long, default_value = config::DEFAULT_PATH)]
    pub(super) config: PathBuf,
    /// How to print the answer.
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub(super) output: Output,
}

#[derive(Debug, Args)]
pub(super) struct ArrayRemoveArguments {
    #[command(flatten)]
    pub(super) change: ArrayChangeArguments,
    /// The array is broken for good, and its volumes with it: give it up.
    ///
    /// Named as `array ls` shows it (name or id). Nobody can look what it has, so the names of its
    /// volumes are free from then on: make sure that it never comes back to this network. All
    /// other arrays of the fleet must answer, and this one must not.
    #[arg(long)]
    pub(super) lost: bool,
}

#[derive(Debug, Args)]
pub(super) struct ConnectionsArguments {
    #[command(flatten)]
    pub(super) asking: Asking,
    /// Folder with this host's state.
    #[arg(long, default_value = STATE)]
    pub(super) state_dir: PathBuf,
    /// Only this host's: its object on the array, or its host name.
    #[arg(long)]
    pub(super) host: Option<String>,
    /// Only this volume's.
    #[arg(long, value_parser = volume_name)]
    pub(super) volume: Option<VolumeName>,
    /// Only this array's: its address, name or id.
    #[arg(long)]
    pub(super) array: Option<String>,
}

/// How answers are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// For people.
    Table,
    /// For programs.
    Json,
}

fn volume_name(text: &str) -> Result<VolumeName, String> {
    VolumeName::new(text).map_err(|error| error.message().to_owned())
}

fn timeout(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .ok()
        .filter(|parsed| !parsed.is_zero() && *parsed <= TIMEOUT_MAX)
        .ok_or_else(|| "a time between 1ms and 1h is needed, such as `30s`".to_owned())
}
