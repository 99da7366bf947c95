//! `quell schema`: the JSON Schemas of the files people write, for editors and other tools.

use std::path::Path;
use std::path::PathBuf;

use clap::Args;
use clap::ValueEnum;

use crate::cli::output;
use crate::error::Error;
use crate::library::schema;
use crate::library::schema::Kind;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Of which files; all kinds when silent, which needs --out.
    #[arg(required_unless_present = "out")]
    kind: Option<KindWord>,
    /// A folder to write into, one file a kind; it is made when it is not there, and older schemas are replaced.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum KindWord {
    Rules,
    Playbook,
    Config,
    Test,
}

impl KindWord {
    fn kind(self) -> Kind {
        match self {
            Self::Rules => Kind::Rules,
            Self::Playbook => Kind::Playbook,
            Self::Config => Kind::Config,
            Self::Test => Kind::Test,
        }
    }
}

pub(super) fn run(options: &Options) -> Result<(), Error> {
    let kinds = options.kind.map_or(Kind::ALL.to_vec(), |word| vec![word.kind()]);
    let Some(folder) = &options.out else {
        for kind in kinds {
            output::line(schema::text(kind).trim_end());
        }
        return Ok(());
    };
    for path in write(folder, &kinds)? {
        output::line(&format!("wrote {}", path.display()));
    }
    Ok(())
}

/// Writes schemas into a folder, and says which files these are.
pub(super) fn write(folder: &Path, kinds: &[Kind]) -> Result<Vec<PathBuf>, Error> {
    let failed = |path: &Path, error: std::io::Error| {
        Error::new("Q0803", format!("could not write {}", path.display())).because(error)
    };
    std::fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
    let write_one = |kind: &Kind| {
        let path = folder.join(kind.file_name());
        std::fs::write(&path, schema::text(*kind)).map_err(|error| failed(&path, error))?;
        Ok(path)
    };
    kinds.iter().map(write_one).collect()
}
