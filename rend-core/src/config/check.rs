//! The whole configuration at once: every value, every problem.

use super::field::Value;
use super::problems::{Problem, Problems, Severity};
use super::profile::{Profile, Role};
use super::secret::{Weakness, known_value, looks_live, shape_of, weakness_of};
use super::settings::Settings;
use super::variable::{self as known, ALL, Kind, Need, Reach, Variable};
use super::vars::Vars;
use crate::fleet::{ExpectedEdges, Stranger};
use crate::url::BaseUrl;

/// Reads everything that `role` reads from `vars`, and says all that is wrong with it.
///
/// The settings hold every value that could be read; use them only when [`Problems::is_fatal`] is false.
/// `allow_dev_defaults` turns what only the production profile refuses into warnings, to try an example file.
///
/// ```
/// use std::collections::BTreeMap;
/// use rend_core::config::{Profile, Role, check, variable};
///
/// let mut vars = BTreeMap::new();
/// vars.insert("REND_EDGE_REIGON".to_owned(), "us-east".to_owned());
/// vars.insert("REND_EDGE_CACHE_MAX_BYTES".to_owned(), "1GiB".to_owned());
/// let (settings, problems) = check(Role::Up, Profile::Local, false, &vars);
/// assert_eq!(settings.bytes(&variable::REND_EDGE_CACHE_MAX_BYTES), 1 << 30);
/// assert!(!problems.is_fatal());
/// assert!(problems.to_string().contains("REND_EDGE_REGION"));
/// ```
pub fn check(role: Role, profile: Profile, allow_dev_defaults: bool, vars: &dyn Vars) -> (Settings, Problems) {
    let mut check = Check {
        profile,
        allow_dev_defaults,
        insecure: false,
        settings: Settings::new(role, profile),
        problems: Problems::default(),
    };
    check.insecure = given(vars, &known::REND_ALLOW_INSECURE_EDGE_URLS)
        .is_some_and(|text| matches!(Kind::Bool.read(&text), Ok(Value::Bool(true))));
    for variable in ALL.iter().filter(|variable| variable.roles.read_by(role)) {
        check.variable(role, variable, given(vars, variable));
    }
    check.together(role, vars);
    check.unknown(vars);
    (check.settings, check.problems)
}

/// What is for a developer's machine alone.
const REFUSED_IN_PRODUCTION: [&str; 2] =
    [known::REND_ALLOW_INSECURE_EDGE_URLS.name, known::REND_WEBHOOK_ALLOW_LOOPBACK.name];

/// The profile that `REND_ENV` names; local when it names none.
pub fn profile_of(vars: &dyn Vars) -> Profile {
    given(vars, &known::REND_ENV).and_then(|word| word.parse().ok()).unwrap_or(Profile::Local)
}

/// The table of all variables in Markdown, as `rend env docs` prints it.
pub fn docs_markdown() -> String {
    let mut table = String::from("| variable | read by | default | value | what it does |\n|---|---|---|---|---|\n");
    for variable in ALL {
        let default = match variable.need {
            Need::Optional => "unset".to_owned(),
            Need::Default(text) => format!("`{text}`"),
            Need::ByProfile { local, production } => format!("`{local}` locally, `{production}` in production"),
            Need::Required => "required".to_owned(),
            Need::RequiredInProduction => "required in production".to_owned(),
        };
        let row = [
            format!("`{}`", variable.name),
            variable.roles.to_string(),
            default,
            variable.kind.expected(),
            variable.doc(),
        ];
        table.push_str(&format!("| {} |\n", row.join(" | ")));
    }
    table
}

/// Unknown names that are reported.
pub const UNKNOWN_NAMES_MAX: usize = 50;

struct Check {
    profile: Profile,
    allow_dev_defaults: bool,
    insecure: bool,
    settings: Settings,
    problems: Problems,
}

impl Check {
    fn variable(&mut self, role: Role, variable: &Variable, given: Option<String>) {
        let default = match (variable.need, self.profile) {
            (Need::Default(text), _) => Some(text),
            (Need::ByProfile { local, .. }, Profile::Local) => Some(local),
            (Need::ByProfile { production, .. }, Profile::Production) => Some(production),
            (Need::Optional | Need::Required | Need::RequiredInProduction, _) => None,
        };
        let is_given = given.is_some();
        let Some(text) = given.or_else(|| default.map(str::to_owned)) else {
            let needed = match variable.need {
                Need::Required => true,
                Need::RequiredInProduction => self.profile == Profile::Production,
                Need::Optional | Need::Default(_) | Need::ByProfile { .. } => false,
            };
            if needed && variable.roles.needed_by(role) {
                self.error(variable, "nothing", variable.kind.expected());
            }
            return;
        };
        match variable.kind.read(&text) {
            Err(why) => {
                self.error(variable, variable.kind.shown(&text), format!("{}: {why}", variable.kind.expected()))
            }
            Ok(value) => {
                let from = if is_given { "" } else { "the default " };
                match self.profile {
                    Profile::Production => self.production_rules(variable, &value, from, &text),
                    Profile::Local if is_given => self.local_rules(variable, &value, &text),
                    Profile::Local => {}
                }
                self.settings.set(variable, value);
            }
        }
    }

    fn production_rules(&mut self, variable: &Variable, value: &Value, from: &str, text: &str) {
        match (variable.kind, value) {
            (Kind::Secret { bytes_min }, Value::Secret(secret)) => {
                if let Some(weakness) = weakness_of(secret.expose(), bytes_min) {
                    self.weak(variable, shape_of(text), weakness);
                }
            }
            (Kind::Issued, Value::Secret(secret)) => {
                if let Some(weakness) = known_value(secret.expose()) {
                    self.weak(variable, shape_of(text), weakness);
                }
            }
            (Kind::VerifyKeys, Value::VerifyKeys(keys)) => {
                for (id, secret) in keys {
                    if let Some(weakness) = weakness_of(secret.expose(), super::secret::SIGNING_SECRET_BYTES_MIN) {
                        self.weak(variable, format!("under `{id}` {}", shape_of(secret.expose())), weakness);
                    }
                }
            }
            (Kind::Foreign, Value::Secret(secret)) => {
                let host = secret.expose().split("://").nth(1).unwrap_or("");
                let host = host.rsplit('@').next().unwrap_or("").split(['/', ':', '?']).next().unwrap_or("");
                if crate::url::is_local_host(host) {
                    self.refuse(variable, "a host that only this machine knows", "a host that other machines reach");
                }
            }
            (Kind::Database, Value::DatabaseServer(url)) => self.server_rules(variable, url.expose()),
            (Kind::KeyId, Value::Text(id)) => {
                if let Some(weakness) = known_value(id) {
                    self.weak(variable, format!("`{id}`"), weakness);
                }
            }
            (Kind::Url(reach), Value::Url(url)) => self.url_rules(variable, reach, url, from),
            (Kind::Edges, Value::Edges(edges)) => {
                for edge in edges {
                    self.url_rules(variable, Reach::Public, &edge.public_url, &format!("edge `{}` at ", edge.id));
                    if let Some(url) = &edge.private_url {
                        self.url_rules(variable, Reach::Private, url, &format!("edge `{}` privately at ", edge.id));
                    }
                }
            }
            (Kind::Origins, Value::Origins(origins)) => {
                for origin in origins {
                    self.url_rules(variable, Reach::Public, origin.base(), "the origin ");
                }
            }
            (Kind::Bool, Value::Bool(true)) if REFUSED_IN_PRODUCTION.contains(&variable.name) => {
                self.refuse(variable, "`true`", "`false` or nothing in production");
            }
            _ => {}
        }
    }

    fn server_rules(&mut self, variable: &Variable, url: &str) {
        let place = url.split("://").nth(1).unwrap_or("").split('/').next().unwrap_or("");
        let (user, hosts) = place.rsplit_once('@').unwrap_or(("", place));
        let name = |host: &str| host.rsplit_once(':').map_or(host, |(name, _)| name).to_owned();
        if hosts.split(',').any(|host| crate::url::is_local_host(&name(host))) {
            self.refuse(variable, "a host that only this machine knows", "a host that other machines reach");
        }
        let password = user.split_once(':').map_or("", |(_, password)| password);
        if let Some(weakness) = known_value(password).filter(|_| !password.is_empty()) {
            self.weak(variable, format!("a password of {} bytes", password.len()), weakness);
        }
    }

    fn url_rules(&mut self, variable: &Variable, reach: Reach, url: &BaseUrl, from: &str) {
        let found = format!("{from}`{url}`");
        if url.is_local() {
            self.refuse(variable, &found, "a host that other machines reach");
        } else if !url.is_https() && !self.insecure {
            match reach {
                Reach::Public => self.refuse(variable, &found, "https, since viewers or edges pass here"),
                Reach::Private if !url.is_private() => {
                    self.refuse(variable, &found, "https, or a host of a private network");
                }
                Reach::Private | Reach::Inside => {}
            }
        }
    }

    fn local_rules(&mut self, variable: &Variable, value: &Value, text: &str) {
        let live = match value {
            Value::Secret(secret) => looks_live(secret.expose()),
            Value::Text(id) if variable.kind == Kind::KeyId => looks_live(id),
            Value::VerifyKeys(keys) => keys.iter().any(|(id, secret)| looks_live(id) || looks_live(secret.expose())),
            Value::Text(word) if variable.name == known::REND_ENV.name => word == Profile::Production.as_str(),
            Value::Text(_)
            | Value::Bool(_)
            | Value::Number(_)
            | Value::Addr(_)
            | Value::Url(_)
            | Value::Path(_)
            | Value::EdgeId(_)
            | Value::Region(_)
            | Value::Edges(_)
            | Value::Origins(_)
            | Value::Database(_)
            | Value::DatabaseServer(_) => false,
        };
        if live {
            let found = format!("{}, which looks live", variable.kind.shown(text));
            self.error(variable, found, "a development value in the local profile");
        }
    }

    fn together(&mut self, role: Role, vars: &dyn Vars) {
        if self.profile == Profile::Production && self.settings.text(&known::REND_ENV) != Some("production") {
            self.refuse(&known::REND_ENV, "another profile than the one checked", "`production`");
        }
        if role == Role::Worker
            && given(vars, &known::REND_API_AUTO_MIGRATE).is_some()
            && self.settings.bool(&known::REND_API_AUTO_MIGRATE)
        {
            self.error(&known::REND_API_AUTO_MIGRATE, "`true` for a worker", "`false`: workers never migrate");
        }
        if self.settings.text(&known::REND_BILLING_MODE) == Some("autumn") {
            self.error(&known::REND_BILLING_MODE, "`autumn`", "`local`: this release has no billing adapter");
        }
        let window = self.settings.secs(&known::REND_EDGE_ACTIVE_HEARTBEAT_WINDOW_SECS);
        let interval = self.settings.secs(&known::REND_EDGE_HEARTBEAT_INTERVAL_SECS);
        if self.settings.has(&known::REND_EDGE_ACTIVE_HEARTBEAT_WINDOW_SECS) && window < interval.saturating_mul(2) {
            let expected = "at least two heartbeat intervals, so that one lost beat does not drop an edge";
            self.error(&known::REND_EDGE_ACTIVE_HEARTBEAT_WINDOW_SECS, format!("{} s", window.as_secs()), expected);
        }
        self.objects(role, vars);
        self.identity();
        self.reuse();
    }

    /// A folder of objects, or all that a bucket needs.
    fn objects(&mut self, role: Role, vars: &dyn Vars) {
        let folder = &known::REND_OBJECT_STORE_DIR;
        if !folder.roles.needed_by(role) || given(vars, folder).is_some() {
            return;
        }
        if given(vars, &known::S3_ENDPOINT).is_none() {
            self.error(folder, "nothing", format!("{}, or S3_ENDPOINT and what belongs to it", folder.kind.expected()));
            return;
        }
        for variable in [&known::S3_BUCKET, &known::AWS_ACCESS_KEY_ID, &known::AWS_SECRET_ACCESS_KEY] {
            if given(vars, variable).is_none() {
                self.error(variable, "nothing", format!("{}, since S3_ENDPOINT is set", variable.kind.expected()));
            }
        }
        let prefix = self.settings.text(&known::S3_PREFIX).unwrap_or_default().to_owned();
        if !(prefix.is_empty() || prefix.ends_with('/') && !prefix.starts_with('/')) {
            self.error(
                &known::S3_PREFIX,
                known::S3_PREFIX.kind.shown(&prefix),
                "a path such as `rend/`, a slash at its end alone",
            );
        }
    }

    fn identity(&mut self) {
        let edges: ExpectedEdges = self.settings.edges(&known::REND_EXPECTED_EDGES);
        let (Some(id), Some(region), Some(public)) = (
            self.settings.edge_id(&known::REND_EDGE_ID),
            self.settings.region(&known::REND_EDGE_REGION),
            self.settings.url(&known::REND_EDGE_BASE_URL),
        ) else {
            return;
        };
        let private = self.settings.url(&known::REND_EDGE_PRIVATE_URL);
        let Err(differs) = edges.admit(id, region.as_str(), public, private) else { return };
        let (variable, found) = match differs {
            Stranger::Id => (&known::REND_EDGE_ID, format!("`{id}`")),
            Stranger::Region => (&known::REND_EDGE_REGION, format!("`{region}`")),
            Stranger::PublicUrl => (&known::REND_EDGE_BASE_URL, format!("`{public}`")),
            Stranger::PrivateUrl => {
                (&known::REND_EDGE_PRIVATE_URL, private.map_or_else(String::new, |url| format!("`{url}`")))
            }
        };
        let severity = match (self.profile, self.settings.role()) {
            (Profile::Production, Role::Edge) if !self.allow_dev_defaults => Severity::Error,
            // A file shared by several programs, or a developer's, may leave the identity to each host.
            _ => Severity::Warning,
        };
        let expected = format!("what REND_EXPECTED_EDGES says: {differs}");
        self.report(variable, severity, found, expected);
    }

    /// One secret for two purposes lets whoever learns it do both.
    fn reuse(&mut self) {
        if self.profile == Profile::Local {
            return;
        }
        let ours = [
            &known::REND_SITE_INTERNAL_TOKEN,
            &known::REND_EDGE_INTERNAL_TOKEN,
            &known::REND_INTERNAL_TELEMETRY_TOKEN,
            &known::REND_OPERATOR_TOKEN,
            &known::REND_PLAYBACK_SIGNING_SECRET,
        ];
        for (index, variable) in ours.iter().enumerate() {
            let secret = self.settings.secret(variable);
            let same = ours[..index].iter().find(|o| secret.is_some() && self.settings.secret(o) == secret);
            if let Some(same) = same {
                self.refuse(variable, &format!("the secret of {}", same.name), "a secret of its own");
            }
        }
    }

    fn unknown(&mut self, vars: &dyn Vars) {
        let mut names = vars.names();
        names.retain(|name| {
            name.starts_with("REND_") && ALL.iter().all(|v| v.name != name) && !known::is_known_elsewhere(name)
        });
        names.sort_unstable();
        names.dedup();
        for name in names.into_iter().take(UNKNOWN_NAMES_MAX) {
            let expected = known::nearest_name(&name).map_or_else(
                || "a name that Rend knows".to_owned(),
                |near| format!("a known name: did you mean {near}?"),
            );
            self.problems.push(Problem {
                variable: name,
                severity: Severity::Warning,
                found: "a name that Rend does not know".into(),
                expected,
                example: String::new(),
            });
        }
    }

    fn weak(&mut self, variable: &Variable, shape: String, weakness: Weakness) {
        self.refuse(variable, &format!("{shape}, which is {}", weakness.as_str()), &variable.kind.expected());
    }

    /// What only the production profile refuses.
    fn refuse(&mut self, variable: &Variable, found: &str, expected: &str) {
        let severity = if self.allow_dev_defaults { Severity::Warning } else { Severity::Error };
        self.report(variable, severity, found, expected);
    }

    fn error(&mut self, variable: &Variable, found: impl Into<String>, expected: impl Into<String>) {
        self.report(variable, Severity::Error, found, expected);
    }

    fn report(
        &mut self,
        variable: &Variable,
        severity: Severity,
        found: impl Into<String>,
        expected: impl Into<String>,
    ) {
        self.problems.push(Problem {
            variable: variable.name.into(),
            severity,
            found: found.into(),
            expected: expected.into(),
            example: variable.example.into(),
        });
    }
}

fn given(vars: &dyn Vars, variable: &Variable) -> Option<String> {
    let text = vars.get(variable.name)?;
    // Blanks around a secret are told as such; around anything else they mean nothing.
    let text = if variable.kind.is_secret() { text } else { text.trim().to_owned() };
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const STRONG: [&str; 4] = [
        "qJ8uZ0mY3xVwR5tN7pLkHs2dFgA6cBeQ1iOoTzUyE4M",
        "T4kX9bLr2vQz7mWcJ1nYpD8sHf6gAe3uKoRi5tNxZwB",
        "mN5vC8xZ2lKj7hGf4dSa1pOi9uYt6rEw3qQbVnMkLzX",
        "Zr7Wq2Yp9Ls4Kd8Jf3Hg6Xc1Vb5NmTuRoEiAwQyDtSk",
    ];

    fn good(role: Role) -> BTreeMap<String, String> {
        let pairs = [
            ("REND_ENV", "production"),
            ("DATABASE_URL", "sqlite:/var/lib/rend/rend.db"),
            ("REND_OBJECT_STORE_DIR", "/var/lib/rend/objects"),
            ("REND_SITE_INTERNAL_TOKEN", STRONG[0]),
            ("REND_EDGE_INTERNAL_TOKEN", STRONG[1]),
            ("REND_INTERNAL_TELEMETRY_TOKEN", STRONG[2]),
            ("REND_PLAYBACK_SIGNING_KEY_ID", "2026-01"),
            ("REND_PLAYBACK_SIGNING_SECRET", STRONG[3]),
            ("REND_PLAYBACK_BASE_URL", "https://play.rend.dev"),
            ("REND_SITE_BASE_URL", "https://www.rend.dev"),
            ("REND_EXPECTED_EDGES", "ash-1=us-east=https://ash-1.rend.dev=http://10.0.0.2:4110"),
            ("REND_EDGE_ID", "ash-1"),
            ("REND_EDGE_REGION", "us-east"),
            ("REND_EDGE_BASE_URL", "https://ash-1.rend.dev"),
            ("REND_EDGE_PRIVATE_URL", "http://10.0.0.2:4110"),
            ("REND_CONTROL_PLANE_URL", "https://control.rend.dev"),
        ];
        let roles = |name: &str| ALL.iter().any(|v| v.name == name && v.roles.read_by(role));
        pairs.iter().filter(|(n, _)| roles(n)).map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
    }

    /// Changes one variable of a good production file and expects an error that names it and says `part`.
    #[track_caller]
    fn refused(role: Role, name: &str, value: &str, part: &str) {
        let mut vars = good(role);
        vars.insert(name.into(), value.into());
        let (_, problems) = check(role, Profile::Production, false, &vars);
        let found = problems.errors().any(|p| p.variable == name && p.to_string().contains(part));
        assert!(found, "{name}={value}: {problems}");
    }

    #[test]
    fn a_good_production_file_has_no_problem() {
        for role in [Role::Api, Role::Worker, Role::Edge, Role::All] {
            let (_, problems) = check(role, Profile::Production, false, &good(role));
            assert!(problems.is_empty(), "{role}: {problems}");
        }
    }

    #[test]
    fn rend_up_needs_nothing_and_has_the_documented_defaults() {
        let (settings, problems) = check(Role::Up, Profile::Local, false, &BTreeMap::new());
        assert!(problems.is_empty(), "{problems}");
        assert_eq!(settings.addr(&known::REND_API_BIND_ADDR).to_string(), "127.0.0.1:4000");
        assert_eq!(settings.bytes(&known::REND_MAX_UPLOAD_BYTES), 536_870_912);
        assert_eq!(settings.bytes(&known::REND_EDGE_CACHE_MAX_BYTES), 10 << 30);
        assert_eq!(settings.secs(&known::REND_PLAYBACK_TOKEN_TTL_SECS).as_secs(), 900);
        assert_eq!(settings.edge_id(&known::REND_EDGE_ID).map(|id| id.as_str()), Some("local-edge-001"));
        assert!(settings.bool(&known::REND_API_AUTO_MIGRATE));
    }

    #[test]
    fn every_default_and_every_example_reads() {
        for variable in ALL {
            for text in match variable.need {
                Need::Default(text) => vec![text],
                Need::ByProfile { local, production } => vec![local, production],
                Need::Optional | Need::Required | Need::RequiredInProduction => vec![],
            }
            .into_iter()
            .chain([variable.example].into_iter().filter(|e| !e.is_empty()))
            {
                assert!(variable.kind.read(text).is_ok(), "{}={text}", variable.name);
            }
        }
    }

    #[test]
    fn an_empty_environment_names_everything_that_is_missing_at_once() {
        let (_, problems) = check(Role::Edge, Profile::Local, false, &BTreeMap::new());
        let missing: Vec<_> = problems.errors().map(|p| p.variable.as_str()).collect();
        assert_eq!(
            missing,
            [
                "REND_EDGE_INTERNAL_TOKEN",
                "REND_INTERNAL_TELEMETRY_TOKEN",
                "REND_PLAYBACK_SIGNING_KEY_ID",
                "REND_PLAYBACK_SIGNING_SECRET",
                "REND_OBJECT_STORE_DIR"
            ]
        );
    }

    #[test]
    fn objects_need_a_folder_or_a_bucket_with_its_keys() {
        let mut vars = good(Role::Edge);
        vars.remove("REND_OBJECT_STORE_DIR");
        let missing = |vars: &BTreeMap<String, String>| {
            let (_, problems) = check(Role::Edge, Profile::Production, false, vars);
            problems.errors().map(|p| p.variable.clone()).collect::<Vec<_>>()
        };
        assert_eq!(missing(&vars), ["REND_OBJECT_STORE_DIR"]);
        vars.insert("S3_ENDPOINT".into(), "https://s3.rend.dev".into());
        assert_eq!(missing(&vars), ["S3_BUCKET", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]);
        vars.insert("S3_BUCKET".into(), "media".into());
        vars.insert("AWS_ACCESS_KEY_ID".into(), "q8ZrT4kX9bLr2vQz7mWc".into());
        vars.insert("AWS_SECRET_ACCESS_KEY".into(), STRONG[0].into());
        assert_eq!(missing(&vars), Vec::<String>::new());
        for wrong in ["rend", "/rend/"] {
            vars.insert("S3_PREFIX".into(), wrong.into());
            assert_eq!(missing(&vars), ["S3_PREFIX"]);
        }
        vars.insert("S3_PREFIX".into(), "rend/".into());
        assert_eq!(missing(&vars), Vec::<String>::new());
    }

    #[test]
    fn production_refuses_what_development_leaves_behind() {
        refused(Role::Api, "REND_EDGE_INTERNAL_TOKEN", "changeme", "placeholder");
        refused(Role::Api, "REND_EDGE_INTERNAL_TOKEN", "", "found nothing");
        refused(Role::Api, "REND_EDGE_INTERNAL_TOKEN", "short", "too short");
        refused(Role::Api, "REND_EDGE_INTERNAL_TOKEN", &"ab".repeat(30), "low entropy");
        refused(Role::Api, "REND_PLAYBACK_SIGNING_SECRET", &STRONG[0][..42], "too short");
        refused(Role::Api, "REND_PLAYBACK_SIGNING_KEY_ID", "local-dev", "development value");
        refused(Role::Api, "REND_PLAYBACK_VERIFY_KEYS", "old=abc", "under `old`");
        refused(Role::Api, "REND_PLAYBACK_BASE_URL", "https://localhost", "other machines");
        refused(Role::Api, "REND_PLAYBACK_BASE_URL", "", "the default `http://127.0.0.1:4100`");
        refused(Role::Api, "REND_PLAYBACK_BASE_URL", "http://play.rend.dev", "https");
        refused(Role::Api, "REND_PLAYBACK_BASE_URL", "https://u:p@play.rend.dev", "credentials");
        refused(Role::Api, "REND_REDIS_URL", "redis://:pw@redis:6379", "only this machine");
        refused(Role::Api, "CLICKHOUSE_PASSWORD", "clickhouse", "development value");
        refused(Role::Api, "REND_API_CORS_ALLOWED_ORIGINS", "http://www.rend.dev", "https");
        refused(Role::Api, "REND_EXPECTED_EDGES", "", "found nothing");
        refused(Role::Api, "REND_EXPECTED_EDGES", "a=r=http://a.rend.dev", "edge `a` at");
        refused(Role::Api, "REND_ALLOW_INSECURE_EDGE_URLS", "true", "`false`");
        refused(Role::Api, "REND_WEBHOOK_ALLOW_LOOPBACK", "true", "`false`");
        refused(Role::Api, "REND_ENV", "local", "`production`");
        refused(Role::Worker, "REND_API_AUTO_MIGRATE", "true", "never migrate");
        refused(Role::Worker, "REND_BILLING_MODE", "autumn", "no billing adapter");
        refused(Role::Worker, "DATABASE_URL", "postgres://db.example.net", "names no database");
        refused(Role::Worker, "DATABASE_URL", "postgres://u:q8Zr@localhost:5432/db", "other machines");
        refused(Role::Worker, "DATABASE_URL", "postgres://u:postgres@db.rend.dev/db", "development value");
        refused(Role::Edge, "REND_EDGE_PRIVATE_URL", "http://203.0.113.7:4110", "private network");
        refused(Role::Edge, "REND_EDGE_ID", "ams-1", "no edge of that id");
        refused(Role::Edge, "REND_EDGE_REGION", "eu", "another region");
        refused(Role::Edge, "REND_EDGE_BASE_URL", "https://x.rend.dev", "another public URL");
        refused(Role::Edge, "REND_EDGE_PRIVATE_URL", "http://10.0.0.9:4110", "another private URL");
    }

    #[test]
    fn a_reused_secret_is_found_wherever_it_stands_second() {
        let mut vars = good(Role::Api);
        vars.insert("REND_INTERNAL_TELEMETRY_TOKEN".into(), STRONG[0].into());
        let (_, problems) = check(Role::Api, Profile::Production, false, &vars);
        assert!(problems.to_string().contains("the secret of REND_SITE_INTERNAL_TOKEN"), "{problems}");
    }

    #[test]
    fn allowing_development_values_warns_and_still_refuses_what_cannot_be_read() {
        let mut vars = good(Role::Api);
        vars.insert("REND_EDGE_INTERNAL_TOKEN".into(), "changeme".into());
        vars.insert("REND_ALLOW_INSECURE_EDGE_URLS".into(), "true".into());
        vars.insert("REND_PLAYBACK_BASE_URL".into(), "http://play.rend.dev".into());
        let (_, problems) = check(Role::Api, Profile::Production, true, &vars);
        assert!(!problems.is_fatal(), "{problems}");
        assert_eq!(problems.warnings().count(), 2, "{problems}");
        vars.insert("REND_MAX_UPLOAD_BYTES".into(), "lots".into());
        assert!(check(Role::Api, Profile::Production, true, &vars).1.is_fatal());
    }

    #[test]
    fn the_local_profile_refuses_what_looks_live() {
        for (name, value) in [
            ("AUTUMN_SECRET_KEY", "am_sk_live_abcdef"),
            ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7QWERTYU"),
            ("REND_PLAYBACK_SIGNING_KEY_ID", "prod-2026-01"),
            ("REND_ENV", "production"),
        ] {
            let vars = BTreeMap::from([(name.to_owned(), value.to_owned())]);
            let (_, problems) = check(Role::Up, Profile::Local, false, &vars);
            assert!(problems.errors().any(|p| p.variable == name), "{name}: {problems}");
        }
    }

    #[test]
    fn a_window_of_less_than_two_beats_is_refused() {
        let vars = BTreeMap::from([("REND_EDGE_ACTIVE_HEARTBEAT_WINDOW_SECS".to_owned(), "20".to_owned())]);
        assert!(check(Role::Up, Profile::Local, false, &vars).1.is_fatal());
    }

    #[test]
    fn unknown_names_are_warned_of_up_to_a_bound() {
        let vars: BTreeMap<_, _> = (0..100).map(|i| (format!("REND_NO_SUCH_{i}"), String::new())).collect();
        let (_, problems) = check(Role::Up, Profile::Local, false, &vars);
        assert_eq!(problems.len(), UNKNOWN_NAMES_MAX);
        assert!(!problems.is_fatal());
        let vars = BTreeMap::from([("REND_READINESS_WARN_UPLOAD_RESPONSE_MS".to_owned(), "1".to_owned())]);
        assert!(check(Role::Up, Profile::Local, false, &vars).1.is_empty());
    }

    #[test]
    fn the_documentation_has_a_row_for_each_variable() {
        let table = docs_markdown();
        assert_eq!(table.lines().count(), ALL.len() + 2);
        assert!(table.lines().all(|line| line.matches('|').count() == 6), "{table}");
        assert!(table.contains("| `REND_EDGE_ID` | edge | `local-edge-001` |"));
    }

    proptest! {
        #[test]
        fn no_problem_ever_shows_a_secret(secret in "[!-~]{9,40}", role in 0usize..5) {
            let secret = format!("{secret}Qz#7");
            let vars: BTreeMap<_, _> = ALL.iter().filter(|v| v.kind.is_secret())
                .map(|v| (v.name.to_owned(), if v.kind == Kind::VerifyKeys { format!("k={secret}") } else { secret.clone() }))
                .collect();
            for profile in [Profile::Local, Profile::Production] {
                let (settings, problems) = check(Role::ALL[role], profile, false, &vars);
                prop_assert!(!problems.to_string().contains(&secret));
                let shown = format!("{settings:?}");
                prop_assert!(!shown.contains(&secret));
            }
        }

        #[test]
        fn any_environment_is_read_or_told_what_is_wrong(values in prop::collection::vec(any::<String>(), 10), at in 0usize..90) {
            let vars: BTreeMap<_, _> = ALL.iter().cycle().skip(at).zip(values).map(|(v, text)| (v.name.to_owned(), text)).collect();
            let _ = check(Role::All, Profile::Production, false, &vars);
        }
    }
}
