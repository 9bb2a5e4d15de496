//! Values that are sent to a cluster and must not come back in a message.

use tidemill_core::config::{Configuration, is_sensitive};
use tidemill_sql::parser::parse_script;
use tidemill_sql::parser::statement::{AlterTable, Statement, TableOption};

use crate::Error;

/// What stands in the place of a secret.
pub(super) const HIDDEN: &str = "******";
/// A shorter value is in any text, and no secret.
const SHORTEST: usize = 3;

/// Values of options whose keys say that they are secrets.
#[derive(Default)]
pub(super) struct Secrets(Vec<String>);

impl Secrets {
    pub(super) fn add_configuration(&mut self, configuration: &Configuration) {
        for (key, entry) in configuration.iter() {
            self.add(key, &entry.value);
        }
    }

    /// Those of the tables and settings of a script; of one that cannot be read there are none.
    pub(super) fn add_script(&mut self, text: &str) {
        for statement in parse_script(text).into_iter().flat_map(|script| script.statements) {
            match &statement.statement {
                Statement::CreateTable(create) | Statement::CreateTableAs(create, _) => {
                    self.add_options(&create.options);
                }
                Statement::AlterTable { action: AlterTable::Set(options), .. }
                | Statement::CreateCatalog { options, .. }
                | Statement::CreateDatabase { options, .. } => self.add_options(options),
                Statement::Set { key: Some(key), value: Some(value) } => self.add(key, value),
                _ => {}
            }
        }
    }

    fn add_options(&mut self, options: &[TableOption]) {
        for option in options {
            self.add(&option.key, &option.value);
        }
    }

    fn add(&mut self, key: &str, value: &str) {
        if is_sensitive(key) && value.len() >= SHORTEST {
            self.0.push(value.to_owned());
        }
    }

    /// The error, without secrets.
    pub(super) fn hide_in(&self, error: Error) -> Error {
        let text = error.to_string();
        let hidden = self.0.iter().fold(text.clone(), |text, secret| text.replace(secret, HIDDEN));
        if hidden == text { error } else { Error::Flink(hidden) }
    }
}

#[cfg(test)]
mod tests {
    use tidemill_core::config::Origin;

    use super::*;

    #[test]
    fn secrets_are_hidden_wherever_they_come_from() {
        let mut configuration = Configuration::new();
        configuration.set_raw("s3.secret-key", "of-config", Origin::CommandLine);
        configuration.set_raw("parallelism.default", "12345", Origin::CommandLine);
        let mut secrets = Secrets::default();
        secrets.add_configuration(&configuration);
        secrets.add_script(
            "CREATE TABLE t (a INT) WITH ('connector' = 'x', 'password' = 'of-table', 'token' = '');
             ALTER TABLE t SET ('my.password' = 'altered'); SET 'a.secret' = 'of-set';",
        );
        let error = Error::Flink("of-config of-table altered of-set 12345".to_owned());
        assert_eq!(secrets.hide_in(error).to_string(), "****** ****** ****** ****** 12345");
        assert!(matches!(secrets.hide_in(Error::Argument("none".to_owned())), Error::Argument(_)));
        secrets.add_script("SELEC");
    }
}
