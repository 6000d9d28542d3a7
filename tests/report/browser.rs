//! A headless browser without a network.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use crate::prepared::{prepared, say_skipped};

/// Longer than a browser ever takes to draw a page, short enough for a test that hangs.
const LIMIT: &str = "60";
/// Focuses every mark, and writes down what is shown.
const LOOK: &str = r#"
<script>
addEventListener("load", () => {
  const tip = document.getElementById("tip");
  const marks = [...document.querySelectorAll(".m")];
  const figures = (mark) => mark.getAttribute("aria-label") ?? "";
  const isTold = (mark) => {
    mark.focus();
    const told = tip.textContent.replaceAll(/[ :,\n]/g, "");
    return !tip.hidden && told !== "" && told === figures(mark).replaceAll(/[ :,\n]/g, "");
  };
  const untold = marks.filter((mark) => !isTold(mark)).length;
  const lane = [...document.querySelectorAll(".marks")].find((lane) => lane.querySelectorAll(".m").length > 3);
  lane.querySelector(".m").focus();
  let walked = 0;
  for (let step = 0; step < 3; step += 1) {
    const before = document.activeElement;
    before.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true, cancelable: true }));
    walked += document.activeElement === before.nextElementSibling ? 1 : 0;
  }
  const injected = document.body.dataset.hit !== undefined;
  const seen = document.createElement("pre");
  seen.id = "seen";
  seen.textContent = JSON.stringify({ marks: marks.length, untold, walked, injected });
  document.body.append(seen);
});
</script></body>"#;

pub struct Browser {
    program: PathBuf,
    directory: TempDir,
}

/// What was to be seen of a page.
pub struct Seen {
    pub marks: usize,
    pub untold: usize,
    pub walked: usize,
    pub injected: bool,
    pub complaints: Vec<String>,
}

impl Browser {
    /// If there is one; that there is none is said.
    pub fn ready() -> Option<Self> {
        let found = prepared("browser", "tests/report/prepare").map_err(|why| say_skipped(&format!("browser: {why}")));
        Some(Self { program: found.ok()?.join("browser"), directory: TempDir::new().unwrap() })
    }

    /// Opens a page from a file and looks at each mark.
    pub fn look(&self, page: &str) -> Seen {
        let output = self.run(&["--dump-dom", "--enable-logging=stderr"], &page.replace("</body>", LOOK));
        let dom = String::from_utf8(output.stdout).unwrap();
        let (_, seen) =
            dom.split_once("<pre id=\"seen\">").unwrap_or_else(|| panic!("the page was not looked at: {dom}"));
        let seen: Value = serde_json::from_str(seen.split_once("</pre>").unwrap().0).unwrap();
        let number = |name: &str| usize::try_from(seen[name].as_u64().unwrap()).unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        Seen {
            marks: number("marks"),
            untold: number("untold"),
            walked: number("walked"),
            injected: seen["injected"].as_bool().unwrap(),
            complaints: said.lines().filter(|line| line.contains("CONSOLE")).map(str::to_owned).collect(),
        }
    }

    /// A PNG of a page.
    pub fn screenshot(&self, page: &str) -> Vec<u8> {
        let file = self.directory.path().join("page.png");
        let screenshot = format!("--screenshot={}", file.display());
        self.run(&[&screenshot, "--window-size=1280,1400", "--hide-scrollbars"], page);
        fs::read(file).unwrap()
    }

    fn run(&self, arguments: &[&str], page: &str) -> Output {
        let file = self.directory.path().join("page.html");
        fs::write(&file, page).unwrap();
        let profile = format!("--user-data-dir={}", self.directory.path().join("profile").display());
        let output = Command::new("timeout")
            .arg(LIMIT)
            .arg(&self.program)
            .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"])
            // Whatever a page would want of a network, it does not get.
            .args(["--disable-background-networking", "--host-resolver-rules=MAP * ~NOTFOUND", &profile])
            .args(arguments)
            .arg(format!("file://{}", file.display()))
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        output
    }
}
