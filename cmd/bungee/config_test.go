package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

// valueOf returns a value for a flag that is not its default, for the command line and for a file.
func valueOf(t *testing.T, flag *pflag.Flag) (args []string, text string) {
	one := func(v, quoted string) ([]string, string) { return []string{"--" + flag.Name + "=" + v}, quoted }
	switch word := map[string]string{"log-level": "debug", "log-format": "json", "nn": "onnx", "nn-device": "cuda:1", "price": "0.5", "ports": "20000-20999"}[flag.Name]; flag.Value.Type() {
	case "string":
		if word == "" {
			word = "some.word:1"
		}
		return one(word, `"`+word+`"`)
	case "int":
		return one("512", "512")
	case "duration":
		return one("3s", `"3s"`)
	case "bool":
		v := fmt.Sprint(flag.DefValue == "false")
		return one(v, v)
	case "stringArray":
		return []string{"--" + flag.Name + "=a,b", "--" + flag.Name + "=c"}, `["a,b", "c"]`
	case "stringToString":
		return one("a=1,b=2", `{b = "2", a = "1"}`)
	}
	t.Fatalf("--%s is of type %s, which no file can have", flag.Name, flag.Value.Type())
	return nil, ""
}

// parsed returns the settings of a command line.
func parsed(t *testing.T, args ...string) *hostFlags {
	t.Helper()
	f := newHostFlags()
	if err := f.set.Parse(args); err != nil {
		t.Fatal(err)
	}
	return f
}

func writeConfig(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "host.toml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// values returns all settings, as text.
func (f *hostFlags) values() (all []string) {
	f.set.VisitAll(func(flag *pflag.Flag) {
		if flag.Name != "config" {
			all = append(all, flag.Name+" = "+flag.Value.String())
		}
	})
	return all
}

// Each flag is a setting of the file, and means the same there.
func TestConfigHasAllFlags(t *testing.T) {
	var args []string
	var file strings.Builder
	newHostFlags().set.VisitAll(func(flag *pflag.Flag) {
		if slices.Contains(notInFile, flag.Name) {
			return
		}
		a, text := valueOf(t, flag)
		args = append(args, a...)
		fmt.Fprintf(&file, "%s = %s\n", flag.Name, text)
	})
	got, err := parsed(t, "--config", writeConfig(t, file.String())).settle()
	if err != nil {
		t.Fatal(err)
	}
	want, plain := parsed(t, args...).values(), newHostFlags().values()
	for i, v := range got.values() {
		if v != want[i] || v == plain[i] {
			t.Errorf("the file sets %s; want %s, and not the default", v, want[i])
		}
	}
}

func TestCommandLineGoesFirst(t *testing.T) {
	file := writeConfig(t, `calls = 3
log-level = "error"
metrics-name = ["a", "b"]
tcp = false
nn-device-options = {a = "1", b = "2"}
call-limit = "7s"
channels = 9
`)
	f, err := parsed(t, "--config", file, "-v", "--metrics-name", "c", "--tcp", "--nn-device-options", "c=3", "--call-limit=10s", "--channels=0").settle()
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(f.calls, f.metricsNames, f.tcp, f.nn.deviceOptions, f.callLimit, f.channels, f.level()); got != "3 [c] true map[c:3] 10s 0 INFO" {
		t.Errorf("got %s; want calls of the file, and all else of the command line", got)
	}
	if f.named("calls") != "host.toml:1:1: calls" || f.named("tcp") != "--tcp" {
		t.Errorf("calls are called %q and tcp %q; want where they are from", f.named("calls"), f.named("tcp"))
	}
}

// The example of docs/configuration.md is one.
func TestConfigOfTheDocs(t *testing.T) {
	docs, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(docs), "```toml\n")
	text, _, ok := strings.Cut(text, "```")
	f := newHostFlags()
	from, err := parseConfig(f.set, "host.toml", []byte(text))
	if !ok || err != nil || len(from) < 10 || f.totalMiB != 8192 {
		t.Errorf("%d settings, %v; want those of the example", len(from), err)
	}
	if want := fmt.Sprintf("which has %d settings", len(from)); !strings.Contains(string(docs), want) {
		t.Errorf("the example of check does not say %q", want)
	}
}

// Ports are a promise that nobody but a lease's UE comes by them. A host that has no leases does not take it silently.
func TestPortsNeedAManager(t *testing.T) {
	for _, tt := range []struct{ line, file, want string }{
		{"--ports 20000-20999", "", "--ports: only leases have ports"},
		{"", `ports = "20000-20999"`, "host.toml:1:1: ports: only leases have ports"},
		{"--manager m:1", `ports = "20000-20999"`, ""},
		{"--ports 20000-20999", `manager = ["m:1"]`, ""},
		{"", "", ""},
	} {
		args := strings.Fields(tt.line)
		if tt.file != "" {
			args = append(args, "--config", writeConfig(t, tt.file))
		}
		_, err := parsed(t, args...).settle()
		if got := fmt.Sprint(err); tt.want == "" && err != nil || !strings.Contains(got, tt.want) {
			t.Errorf("%q and a file of %q: %v; want %q", tt.line, tt.file, err, tt.want)
		}
	}
}

func TestLevel(t *testing.T) {
	for _, tt := range []struct{ file, line, want string }{
		{"", "", "WARN"}, {"", "-v", "INFO"}, {"", "--log-level=debug", "DEBUG"}, {"", "-v --log-level=error", "ERROR"},
		{`log-level = "debug"`, "", "DEBUG"}, {`log-level = "debug"`, "-v", "INFO"}, {"verbose = true", "", "INFO"},
		{"verbose = true\nlog-level = \"error\"", "", "ERROR"}, {"verbose = true", "--log-level=warn", "WARN"},
	} {
		f, err := parsed(t, append(strings.Fields(tt.line), "--config", writeConfig(t, tt.file))...).settle()
		if err != nil {
			t.Fatal(err)
		}
		if got := f.level().String(); got != tt.want {
			t.Errorf("%q in the file and %q: %s, want %s", tt.file, tt.line, got, tt.want)
		}
	}
}

// What is wrong in a file is told with its line and what to do; all of it at once.
func TestConfigErrors(t *testing.T) {
	for _, tt := range []struct {
		text string
		want []string
	}{
		{"lissten = \":1\"", []string{`t.toml:1:1: "lissten" is no setting`, "bungee host --help"}},
		{"\n config = \"x\"", []string{`t.toml:2:2: "config" is no setting`}},
		{"help = true", []string{`"help" is no setting`}},
		{"calls = \"4\"", []string{"t.toml:1:1: calls: want a number without quotes"}},
		{"calls = 1.5", []string{"calls: want a number"}},
		{"calls = -1\nmemory-total = 127\nchannels = 1", []string{"t.toml:1:1: calls: want a number from 1 to", "t.toml:2:1: memory-total: want a number from 128 to"}},
		{"cache-size = 99999999999", []string{"cache-size: want a number from 1 to 16777216, or 0 for the default"}},
		{"memory = 9223372036854775808", []string{"t.toml:1:10:"}},
		{"call-limit = 10", []string{`call-limit: want a duration in quotes, such as "10s"`}},
		{"call-limit = \"0s\"", []string{"call-limit: want a duration from 1ms to 24h0m0s"}},
		{"drain = \"-1s\"", []string{"drain: want a duration from 0s to"}},
		{"tcp = 1", []string{"tcp: want true or false"}},
		{"log-level = \"loud\"", []string{"log-level: want one of debug, info, warn, error"}},
		{"log-format = \"xml\"", []string{"log-format: want one of text, json"}},
		{"ports = \"20000-30000\"", []string{"t.toml:1:1: ports: ports 20000-30000: want at most 1024 of 1 to 65535"}},
		{"ports = 20000", []string{"ports: want a text in quotes"}},
		{"ports = \"2-1\"", []string{"ports: ports 2-1: want"}},
		{"nn-device = \"tpu\"", []string{"nn-device: want cpu, cuda or cuda:N"}},
		{"model = \"a\"", []string{`model: want a list of texts, such as ["a", "b"]`}},
		{"model = [\"a\", 1]", []string{"model: want a list of texts"}},
		{"listen = [\":1\"]", []string{"listen: want a text in quotes"}},
		{"[nn-device-options]\na = 1", []string{"t.toml:1:2: nn-device-options: want a table of plain texts"}},
		{"nn-device-options = {a = \"x,b=y\"}", []string{"want a table of plain texts"}},
		{"[[model]]\na = 1", []string{"t.toml:1:3: model: want a list of texts"}},
		{"[calls]\nx = 1", []string{"t.toml:1:2: calls: want a number"}},
		{"calls.x = 1", []string{"t.toml:1:1: calls: want a number"}},
		{"calls = 1\ncalls = 2", []string{"t.toml:2:1:", "calls"}},
		{"calls = ", []string{"t.toml:1:"}},
		{"\xff = 1", []string{"t.toml:1:"}},
		{"calls = 2020-01-01", []string{"calls: want a number"}},
		{strings.Repeat("#", maxConfig+1), []string{"t.toml has more than 65536 bytes"}},
		{"a = " + strings.Repeat("[", maxConfig-10), []string{"t.toml:1:"}},
		{"\"" + strings.Repeat("x", 5000) + "\" = 1", []string{"is no setting"}},
	} {
		f := newHostFlags()
		_, err := parseConfig(f.set, "t.toml", []byte(tt.text))
		for _, want := range tt.want {
			if err == nil || !strings.Contains(err.Error(), want) || len(err.Error()) > 500 {
				t.Errorf("%.60q: %v; want %q", tt.text, err, want)
			}
		}
	}
	if _, err := parsed(t, "--config", "/there/is/none").settle(); err == nil || !strings.Contains(err.Error(), "--config: open") {
		t.Errorf("a file that is not there: %v", err)
	}
}

// Whatever a file says: it is refused, or what it sets is within the bounds of the flags, and the same when
// it comes from the command line.
func FuzzConfig(f *testing.F) {
	for _, seed := range []string{
		"", "calls = 3\n", "listen = \":1\"\ntcp = false\nmodel = ['a']\n", "[nn-device-options]\na = '1'\n", "drain = \"1s\" # x", "a.b.c = {d = [1]}\n[e]\n[[f]]\ng=1",
		"nn-device-options = {\"a b\" = \"[c]\"}", "calls = 0x10", "\"calls\" = 1", "memory-total = 128\nverbose = true",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		a := newHostFlags()
		from, err := parseConfig(a.set, "t.toml", text)
		if err != nil {
			if strings.Count(err.Error(), "t.toml") == 0 || len(err.Error()) > 600*(1+len(text)) {
				t.Errorf("%q does not name the file, or is long", err)
			}
			return
		}
		if a.calls < 0 || a.calls > most || a.totalMiB != 0 && a.totalMiB < leastTotal>>20 || a.callLimit < time.Millisecond || !slices.Contains(logLevels, a.logLevel) {
			t.Errorf("%q sets %v", text, a.values())
		}
		b := newHostFlags()
		a.copyTo(b, func(*pflag.Flag) bool { return true })
		if got, want := fmt.Sprint(b.values()), fmt.Sprint(a.values()); got != want {
			t.Errorf("a copy of the settings is %s, want %s", got, want)
		}
		for name := range from {
			if !a.set.Changed(name) {
				t.Errorf("%s is told to be from the file and is not set", name)
			}
		}
	})
}
