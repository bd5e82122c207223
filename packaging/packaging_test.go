package packaging

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pelletier/go-toml/v2"
)

const root = ".."

// unit returns the values of a key of the unit, in their order.
func unit(t *testing.T, key string) (values []string) {
	t.Helper()
	text, err := os.ReadFile("bungee.service")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^`+key+`=(.*)$`).FindAllStringSubmatch(string(text), -1) {
		values = append(values, m[1])
	}
	return values
}

// settings are those of host.toml.
func settings(t *testing.T) map[string]any {
	t.Helper()
	text, err := os.ReadFile("host.toml")
	if err != nil {
		t.Fatal(err)
	}
	var s map[string]any
	if err := toml.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// The last calls have the time to end before systemd loses its patience.
func TestDrainFitsTheUnit(t *testing.T) {
	seconds, err := strconv.Atoi(unit(t, "TimeoutStopSec")[0])
	if err != nil {
		t.Fatal(err)
	}
	drain, err := time.ParseDuration(settings(t)["drain"].(string))
	if err != nil {
		t.Fatal(err)
	}
	if spare := time.Duration(seconds)*time.Second - drain; spare < 5*time.Second {
		t.Errorf("TimeoutStopSec=%d is %v more than the drain of %v; want 5 s, for what comes after it", seconds, spare, drain)
	}
}

// systemd understands the unit, and finds it exposed no more than its bound.
func TestUnitIsSound(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("no systemd-analyze here: apt-get install systemd, then go test -run TestUnitIsSound ./packaging")
	}
	text, err := os.ReadFile("bungee.service")
	if err != nil {
		t.Fatal(err)
	}
	// The program is not installed here, nor its pages.
	file := filepath.Join(t.TempDir(), "bungee.service")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(string(text), "/usr/bin/bungee ", "/bin/true ")), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("systemd-analyze", "verify", "--man=no", file).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
	const most = 20 // tenths: 2.0 is "OK"; most of what is left is the network, which a host is for
	out, err := exec.Command("systemd-analyze", "security", "--offline=true", fmt.Sprintf("--threshold=%d", most), "--no-pager", file).CombinedOutput()
	if err != nil {
		t.Errorf("systemd-analyze security --threshold=%d: %v\n%s", most, err, out)
	}
	t.Logf("%s", regexp.MustCompile(`Overall.*`).Find(out))
}

// A compiler confines itself by seccomp(2), which is in no set of systemd's for services: without it
// the compiler would go on unconfined.
func TestUnitLetsCompilersConfineThemselves(t *testing.T) {
	var allowed, denied []string
	for _, filter := range unit(t, "SystemCallFilter") {
		if without, ok := strings.CutPrefix(filter, "~"); ok {
			denied = append(denied, strings.Fields(without)...)
		} else {
			allowed = append(allowed, strings.Fields(filter)...)
		}
	}
	if !slices.Contains(allowed, "seccomp") || slices.Contains(denied, "@process") || slices.Contains(denied, "@resources") {
		t.Errorf("allowed %v, denied %v; compilers need seccomp, prctl and prlimit64", allowed, denied)
	}
}

// Each setting of host.toml is a flag of "bungee host" with that value.
func TestHostSettingsAreFlags(t *testing.T) {
	b := built(t)
	help, err := exec.Command(b.program, "host", "--help").Output()
	if err != nil {
		t.Fatal(err)
	}
	for key := range settings(t) {
		if !regexp.MustCompile(`(?m)^ +--` + key + ` `).Match(help) {
			t.Errorf("bungee host has no flag --%s", key)
		}
	}
}

// The rules of alerts name metrics that there are, docs/operate.md has each alert, and promtool sees each
// fire when it must.
func TestAlerts(t *testing.T) {
	rules, err := os.ReadFile("alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("../cmd/bungee/*.go")
	if err != nil {
		t.Fatal(err)
	}
	var sources strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		sources.Write(text)
	}
	names := regexp.MustCompile(`\bbungee_[a-z_]+`).FindAllString(string(rules), -1)
	if len(names) < 4 {
		t.Fatalf("the rules name %v only", names)
	}
	for _, name := range names {
		if !strings.Contains(sources.String(), `"`+name+`"`) && !strings.Contains(sources.String(), `"`+strings.TrimPrefix(name, "bungee_")+`"`) {
			t.Errorf("no metric is called %s", name)
		}
	}
	docs, err := os.ReadFile("../docs/operate.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`- alert: (\w+)`).FindAllStringSubmatch(string(rules), -1) {
		if !regexp.MustCompile(`(?m)^\|.*\b` + m[1] + `\b.*\|.*\|$`).Match(docs) {
			t.Errorf("docs/operate.md does not say what to do about %s", m[1])
		}
	}
	if _, err := exec.LookPath("promtool"); err != nil {
		t.Skip("no promtool here: apt-get install --no-install-recommends prometheus, then go test -run TestAlerts ./packaging")
	}
	dir := t.TempDir() // promtool wants the rules beside their test
	for from, to := range map[string]string{"alerts.yaml": "alerts.yaml", "testdata/alerts_test.yaml": "test.yaml"} {
		text, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, to), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{{"check", "rules", "alerts.yaml"}, {"test", "rules", "test.yaml"}} {
		cmd := exec.Command("promtool", args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v\n%s", args, err, out)
		}
	}
}

// A product is what make has built for the tests.
type product struct {
	program string // bungee of the package
	deb     string
	next    string // the package of the next version, with the same files
	image   string
	err     error
}

var (
	products     product
	productsOnce sync.Once
	productsDir  string
)

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "bungee-packaging-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	productsDir = dir
	status := m.Run()
	os.RemoveAll(dir)
	os.Exit(status)
}

// built builds the packages and the image, once. Without the profile of a release that takes a minute
// or two less.
func built(t *testing.T) product {
	t.Helper()
	if testing.Short() {
		t.Skip("builds packages and an image, which takes minutes: go test ./packaging")
	}
	productsOnce.Do(func() {
		make := func(args ...string) {
			cmd := exec.Command("make", append(args, "PGO=off", "BIN="+productsDir)...)
			cmd.Dir = root
			if out, err := cmd.CombinedOutput(); err != nil && products.err == nil {
				products.err = fmt.Errorf("make %v: %w\n%s", args, err, out)
			}
		}
		make("deb", "DEB_VERSION=1.0.0")
		make("deb", "DEB_VERSION=1.0.1")
		make("image")
		products.program = filepath.Join(productsDir, "deb", "bungee")
		products.image = filepath.Join(productsDir, "bungee-image.tar")
		for version, to := range map[string]*string{"1.0.0": &products.deb, "1.0.1": &products.next} {
			found, _ := filepath.Glob(filepath.Join(productsDir, "bungee_"+version+"_*.deb"))
			if len(found) == 1 {
				*to = found[0]
			} else if products.err == nil {
				products.err = fmt.Errorf("packages of %s: %v", version, found)
			}
		}
	})
	if products.err != nil {
		t.Fatal(products.err)
	}
	return products
}
