package capability

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// example is the file of docs/policy.md, in short.
const example = `[default]
models = ["yolo-*"]
quota.instances = 64
quota.memory = "2 GiB"

[[tenant]]
name = "acme-*"
connect = ["api.acme.example:443", "*.internal:80"]
env = {REGION = "eu"}
folders = [{name = "maps", path = "/srv/maps"}, {name = "logs", path = "/srv/logs", write = true}]
meter = true

[tenant.quota]
weight = 4

[tenant.limits]
memory = "512 MiB"
deadline = "200ms"

[[tenant]]
name = "*"
host = []
`

func parse(t *testing.T, text string) *Policy {
	t.Helper()
	p, err := ParsePolicy("edge.toml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestFor(t *testing.T) {
	p := parse(t, example)
	acme := p.For("acme-7")
	wantQuota := Quota{Instances: 64, Memory: 2 << 30, Modules: 16, Channels: 1024, Connections: 1024, Weight: 4, Egress: Egress{200, 50, 256, 32 << 20}}
	if acme.Tenant != "acme-7" || !acme.Meter || acme.Quota != wantQuota {
		t.Errorf("acme-7 has %+v; want it metered, with %+v", acme, wantQuota)
	}
	other := p.For("beta/1")
	wantQuota.Weight = 1
	if other.Meter || other.Quota != wantQuota {
		t.Errorf("beta/1 has %+v; want it not metered, with %+v", other, wantQuota)
	}
	if _, err := other.Grant(Manifest{Host: []string{"wasi_ephemeral_nn"}}); err == nil {
		t.Error("host = [] grants what the built-in policy does")
	}
	first := parse(t, "[[tenant]]\nname = \"a*\"\nquota.weight = 2\n[[tenant]]\nname = \"ab\"\nquota.weight = 3\n").For("ab")
	if first.Quota.Weight != 2 {
		t.Errorf("ab has weight %d; want 2, that of the first table that matches", first.Quota.Weight)
	}
}

func TestQuotaOfBuffersAndConnections(t *testing.T) {
	p := parse(t, "[default]\nquota.buffers = \"64 MiB\"\n[[tenant]]\nname = \"a\"\nquota.connections = 4\n")
	for name, want := range map[string]Quota{"a": {Buffers: 64 << 20, Connections: 4}, "b": {Buffers: 64 << 20, Connections: 1024}} {
		if q := p.For(name).Quota; q.Buffers != want.Buffers || q.Connections != want.Connections {
			t.Errorf("%s may have %+v; want %d bytes of buffers and %d connections", name, q, want.Buffers, want.Connections)
		}
	}
	if q := Default().For("a").Quota; q.Buffers != 0 || q.Connections != 1024 {
		t.Errorf("the built-in quota is %+v; want the host's own bound of buffers, and 1024 connections", q)
	}
}

// TestForms holds that all ways to write a table in TOML mean the same.
func TestForms(t *testing.T) {
	m := Manifest{Env: []string{"A"}, Folders: []Folder{{"f", false}}}
	want := parse(t, "[default]\nenv = {A = \"b\"}\nfolders = [{name = \"f\", path = \"/f\"}]\nquota = {weight = 5}\n").For("x")
	granted, err := want.Grant(m)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		"[default.env]\nA = \"b\"\n[[default.folders]]\nname = \"f\"\npath = \"/f\"\n[default.quota]\nweight = 5\n",
		"[default]\nenv.A = \"b\"\nfolders = [{name = \"f\", path = \"/f\"}]\nquota.weight = 5\n",
		"default = {env = {A = \"b\"}, folders = [{name = \"f\", path = \"/f\"}], quota.weight = 5}\n",
		"default.env.A = 'b'\ndefault.quota.\"weight\" = 0x5\ndefault.folders = [\n{name = \"f\", path = \"/f\"},\n]\n",
		"[[tenant]]\nname = \"x\"\n[tenant.env]\nA = \"b\"\n[[tenant.folders]]\nname = \"f\"\npath = \"/f\"\n[tenant.quota]\nweight = 5\n",
		"[[tenant]]\nname = \"y\"\n[tenant.quota]\nweight = 7\n[[tenant]]\nname = \"x\"\nenv.A = \"b\"\n[[tenant.folders]]\nname = \"f\"\npath = \"/f\"\n[tenant.quota]\nweight = 5\n",
	} {
		r := parse(t, text).For("x")
		g, err := r.Grant(m)
		g.connectAt = granted.connectAt
		if err != nil || !reflect.DeepEqual(g, granted) || r.Quota != want.Quota {
			t.Errorf("%s\ngot %+v, %+v, %v; want %+v, %+v", text, g, r.Quota, err, granted, want.Quota)
		}
	}
}

func TestParsePolicyRefuses(t *testing.T) {
	tests := []struct{ why, text, want string }{
		{"not TOML", "[default", "edge.toml:1:8: "},
		{"a key of no table", "clock = true\n", `edge.toml:1:1: "clock" is unknown here`},
		{"a table that is none", "[defaults]\n", `"defaults" is unknown here`},
		{"one tenant, not a list of them", "[tenant]\nname = \"a\"\n", "edge.toml:1:"},
		{"a list in one line", "tenant = [{name = \"a\"}]\n", "[[tenant]]"},
		{"a table whose name is the survey's own", "[\"tenant 0\"]\n[[tenant]]\nname = \"a\"\n", "edge.toml:1:"},
		{"an unknown key", "[default]\n\n  hosts = []\n", `edge.toml:3:3: "hosts" is unknown; there are clock, connect`},
		{"a key in another case, which would be half read", "[default]\nHost = []\n", `edge.toml:2:1: "Host" is unknown`},
		{"a table in another case", "[Default]\nhost = []\n", `edge.toml:1:2: "Default" is unknown`},
		{"an unknown key of a folder", "[default]\nfolders = [{nme = \"a\"}]\n", "edge.toml:2:13: default.nme: unknown field"},
		{"an unknown quota", "[default.quota]\nframes = 1\n", `edge.toml:2:1: "quota.frames" is unknown`},
		{"two unknown keys", "[default]\na = 1\nb = 1\n", "edge.toml:3:1"},
		{"another type", "[default]\nclock = 1\n", "edge.toml:2:9: default.clock: cannot decode TOML integer; docs"},
		{"a key twice", "[default]\nclock = true\nclock = false\n", "edge.toml:3:1"},
		{"a size without a known unit", "[default.quota]\nmemory = \"2 GB\"\n", "edge.toml:2:10: default.quota.memory: \"2 GB\" is no size"},
		{"a size below zero", "[default.quota]\nmemory = -1\n", "edge.toml:2:1: quota.memory: -1 is negative"},
		{"a duration", "[default.limits]\ndeadline = \"fast\"\n", "is no duration"},
		{"a duration below zero", "[default.limits]\ndeadline = \"-1s\"\n", "is no duration"},
		{"a rate below zero", "[default]\nquota.egress_bytes_per_second = -1\n", "edge.toml:2:1: quota.egress_bytes_per_second: -1 is negative"},
		{"buffers below zero", "[default.quota]\nbuffers = -1\n", "edge.toml:2:1: quota.buffers: -1 is negative"},
		{"connections below zero", "[default.quota]\nconnections = -1\n", "edge.toml:2:1: quota.connections: -1 is negative"},
		{"a weight over all others", "[default]\nquota.weight = 1001\n", "edge.toml:2:1: quota.weight: 1001 is over 1000"},
		{"fuel that nobody counts", "[default]\nquota.fuel_per_second = 5\n", "edge.toml:2:1: quota.fuel_per_second: fuel is not counted without meter"},
		{"a limit that nobody counts", "[default]\nlimits.fuel = 5\n", "without meter"},
		{"a table that stops to count", "[default]\nmeter = true\nlimits.fuel = 5\n[[tenant]]\nname = \"a\"\nmeter = false\n", "edge.toml:6:1: limits.fuel"},
		{"a name for all others", "[default]\nname = \"a\"\n", "edge.toml:2:1: [default] has no name"},
		{"a tenant without a name", "[[tenant]]\nclock = true\n", "edge.toml:1:3: name"},
		{"a pattern that is none", "[[tenant]]\nname = \"a[\"\n", "edge.toml:2:1: name: \"a[\""},
		{"a table that is never used", "[[tenant]]\nname = \"a\"\n[[tenant]]\nname = \"a\"\n", "edge.toml:4:1: name \"a\" is that of edge.toml:2"},
		{"an address without a port", "[default]\nconnect = [\"example.com\"]\n", "edge.toml:2:1: connect: \"example.com\" is no pattern"},
		{"a folder of nowhere", "[default]\nfolders = [{name = \"a\", path = \"b\"}]\n", "edge.toml:2:1: folders: path \"b\" is not absolute"},
		{"a folder's name", "[default]\nfolders = [{name = \"..\", path = \"/b\"}]\n", "no name of a folder"},
		{"a variable's name", "[default.env]\n\"A B\" = \"c\"\n", "environment variable"},
		{"a digest that is too short", "[default]\nmodules = [\"0123456789abcde\"]\n", "edge.toml:2:1: modules: \"0123456789abcde\" is no digest of a module; write the hex digits"},
		{"a digest that is too long", "[default]\nmodules = [\"" + strings.Repeat("0", 65) + "\"]\n", "is no digest of a module"},
		{"a digest with other letters", "[default]\nmodules = [\"0123456789abcdefg\"]\n", "is no digest of a module"},
		{"a pattern of digests", "[default]\nmodules = [\"0123456789abcdef*\"]\n", "is no digest of a module"},
		{"an empty digest, which all begin with", "[default]\nmodules = [\"\"]\n", "is no digest of a module"},
		{"a digest twice", "[default]\nmodules = [\"0123456789abcdef\", \"0123456789abcdef\"]\n", "is there twice"},
		{"a number of modules in place of a list", "[default]\nmodules = 16\n", "edge.toml:2:11: default.modules: cannot decode TOML integer"},
		{"a list in place of a number of modules", "[default]\nquota.modules = [\"*\"]\n", "edge.toml:2:17: default.quota.modules: cannot decode TOML"},
		{"a model's pattern", "[default]\nmodels = [\"[\"]\n", "edge.toml:2:1: models: \"[\" is no pattern"},
	}
	for _, tt := range tests {
		_, err := ParsePolicy("edge.toml", []byte(tt.text))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v; want an error with %q", tt.why, err, tt.want)
		}
	}
}

func TestParsePolicyIsBounded(t *testing.T) {
	if _, err := ParsePolicy("edge.toml", []byte(strings.Repeat("#\n", maxPolicy/2+1))); err == nil {
		t.Error("a file over the bound was read")
	}
	if _, err := ParsePolicy("edge.toml", []byte(strings.Repeat("[[tenant]]\n", maxTenants+1))); err == nil || strings.Count(err.Error(), "\n") > maxErrors {
		t.Errorf("too many tenants: got %v; want an error of at most %d lines", err, maxErrors+1)
	}
}

func TestLoadPolicy(t *testing.T) {
	file := filepath.Join(t.TempDir(), "edge.toml")
	if _, err := LoadPolicy(file); !os.IsNotExist(err) {
		t.Errorf("a file that is not there: got %v; want that", err)
	}
	if err := os.WriteFile(file, []byte(example), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := LoadPolicy(file)
	if err != nil {
		t.Fatal(err)
	}
	g, err := p.For("acme-1").Grant(Manifest{})
	if err != nil || g.Limits.Deadline != 200*time.Millisecond {
		t.Errorf("got %+v, %v; want the policy's deadline of 200 ms", g, err)
	}
	_, err = p.For("acme-1").Grant(Manifest{Connect: []string{"a:1"}})
	if err == nil || !strings.Contains(err.Error(), " edge.toml:8 decides") {
		t.Errorf("got %v; want a refusal with the file's name alone and the line", err)
	}
}

func TestDefault(t *testing.T) {
	r := Default().For("anyone")
	g, err := r.Grant(Manifest{
		Host: []string{"wasi_ephemeral_nn", "bungee_scratch", "bungee_egress"}, Models: []string{"any/model"}, Clock: true, Random: true,
		Limits: Limits{Memory: 256 << 20},
	})
	if err != nil || !g.Clock || !g.Random || len(g.Host) != 3 {
		t.Errorf("got %+v, %v; want all of that", g, err)
	}
	if r.Meter || r.Quota.Modules < 2 || r.Quota.Instances < 4 || r.Quota.Memory < 4*256<<20 || r.Quota.Channels < 1024 || r.Quota.Weight != 1 {
		t.Errorf("rules are %+v; want at least 2 modules, 4 instances of 256 MiB and 1024 channels, not metered", r)
	}
	for _, m := range []Manifest{{Host: []string{"camera"}}, {Connect: []string{"*"}}, {Connect: []string{"a:1"}}, {Env: []string{"A"}}, {Folders: []Folder{{"a", false}}}} {
		_, err := r.Grant(m)
		if err == nil || !strings.Contains(err.Error(), "the built-in policy decides; a policy file could have") {
			t.Errorf("%+v: got %v; want a refusal by the built-in policy", m, err)
		}
	}
}

// TestEgressQuota holds that a grant has the tenant's bounds on its network.
func TestEgressQuota(t *testing.T) {
	text := `[default]
quota.egress_calls_per_second = 5
quota.egress_connections = 0

[[tenant]]
name = "acme"
quota.egress_bytes_per_second = "1 MiB"
quota.egress_connections_per_second = 7
`
	g, err := parse(t, text).For("acme").Grant(Manifest{})
	if want := (Egress{CallsPerSecond: 5, ConnectionsPerSecond: 7, BytesPerSecond: 1 << 20}); err != nil || g.Egress != want || g.Tenant != "acme" {
		t.Errorf("got %q, %+v, %v; want acme, %+v", g.Tenant, g.Egress, err, want)
	}
}

// Names that look alike are different tenants, and a pattern is for all that match it.
func TestAlikeTenants(t *testing.T) {
	p := parse(t, "[[tenant]]\nname = \"acme\"\nquota.weight = 2\n[[tenant]]\nname = \"beta-*\"\nquota.weight = 3\n")
	for name, weight := range map[string]int{
		"acme": 2, "acme-evil": 1, "Acme": 1, "acme.": 1, "acm\u0435": 1, "acme ": 1, "acme\x00": 1, "": 1, "*": 1, "acm?": 1,
		"beta-1": 3, "beta-evil": 3, "beta-": 3, "beta": 1, "xbeta-1": 1, "Beta-1": 1,
	} {
		if got := p.For(name).Quota.Weight; got != weight {
			t.Errorf("%q has weight %d, want %d", name, got, weight)
		}
	}
}
