package capability

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
)

// TestGrant holds, for each capability, what a module gets with the grant, and that
// without it the refusal names the capability and the line of the policy (paper 003,
// Figure 2).
func TestGrant(t *testing.T) {
	tests := []struct {
		why    string
		policy string // of [default], from line 2 on
		m      Manifest
		want   Grant
		refuse Refusal // zero: it is granted
	}{
		{"host functions", `host = ["camera"]`, Manifest{Host: []string{"camera"}}, Grant{Host: []string{"camera"}}, Refusal{}},
		{"host functions by pattern", `host = ["acme_*"]`, Manifest{Host: []string{"acme_lidar"}}, Grant{Host: []string{"acme_lidar"}}, Refusal{}},
		{"no host functions", `host = ["camera"]`, Manifest{Host: []string{"lidar"}}, Grant{},
			Refusal{"host", `"lidar"`, "t", "edge.toml:2", `it could have host = ["lidar"]`}},
		{"a model", `models = ["yolo-*"]`, Manifest{Models: []string{"yolo-1"}}, Grant{Models: []string{"yolo-1"}}, Refusal{}},
		{"a model with a slash, of all", `models = ["*"]`, Manifest{Models: []string{"acme/yolo"}}, Grant{Models: []string{"acme/yolo"}}, Refusal{}},
		{"all models there are for the tenant", `models = ["yolo-*"]`, Manifest{Models: []string{"*"}}, Grant{Models: []string{"yolo-*"}}, Refusal{}},
		{"no model", `models = ["yolo-*"]`, Manifest{Models: []string{"whisper"}}, Grant{},
			Refusal{"models", `"whisper"`, "t", "edge.toml:2", `it could have models = ["whisper"]`}},
		{"all models where there are none", `models = []`, Manifest{Models: []string{"*"}}, Grant{},
			Refusal{"models", `"*"`, "t", "edge.toml:2", `it could have models = ["*"]`}},
		{"a folder", `folders = [{name = "maps", path = "/srv/maps", write = true}]`, Manifest{Folders: []Folder{{"maps", false}}},
			Grant{Folders: []GrantedFolder{{"maps", "/srv/maps", false}}}, Refusal{}},
		{"a folder for writing", `folders = [{name = "maps", path = "/srv/maps", write = true}]`, Manifest{Folders: []Folder{{"maps", true}}},
			Grant{Folders: []GrantedFolder{{"maps", "/srv/maps", true}}}, Refusal{}},
		{"a folder, but not for writing", `folders = [{name = "maps", path = "/srv/maps"}]`, Manifest{Folders: []Folder{{"maps", true}}}, Grant{},
			Refusal{"folders", `"maps" for writing`, "t", "edge.toml:2", "it could have write = true"}},
		{"no folder", `folders = []`, Manifest{Folders: []Folder{{"maps", false}}}, Grant{},
			Refusal{"folders", `"maps"`, "t", "edge.toml:2", `it could have folders = [{name = "maps", path = "...", write = false}]`}},
		{"an address", `connect = ["*.example.com:*"]`, Manifest{Connect: []string{"a.example.com:443"}},
			Grant{Connect: []string{"*.example.com:*"}, Only: []string{"a.example.com:443"}}, Refusal{}},
		{"all addresses there are for the tenant", `connect = ["a:1", "b:*"]`, Manifest{Connect: []string{"*"}}, Grant{Connect: []string{"a:1", "b:*"}}, Refusal{}},
		{"addresses nobody asked for", `connect = ["a:1"]`, Manifest{}, Grant{}, Refusal{}},
		{"no address", `connect = ["a:1"]`, Manifest{Connect: []string{"a:2"}}, Grant{},
			Refusal{"connect", `"a:2"`, "t", "edge.toml:2", `it could have connect = ["a:2"]`}},
		{"all addresses where there are none", `connect = []`, Manifest{Connect: []string{"*"}}, Grant{},
			Refusal{"connect", `"*"`, "t", "edge.toml:2", `it could have connect = ["*"]`}},
		{"a variable", `env = {REGION = "eu", KEY = "secret"}`, Manifest{Env: []string{"REGION"}}, Grant{Env: map[string]string{"REGION": "eu"}}, Refusal{}},
		{"no variable", `env = {REGION = "eu"}`, Manifest{Env: []string{"KEY"}}, Grant{},
			Refusal{"env", "KEY", "t", "edge.toml:2", `it could have env = {KEY = "..."}`}},
		{"the clock", `clock = true`, Manifest{Clock: true}, Grant{Clock: true}, Refusal{}},
		{"no clock", `clock = false`, Manifest{Clock: true}, Grant{}, Refusal{"clock", "at all", "t", "edge.toml:2", "it could have clock = true"}},
		{"a clock nobody asked for", `clock = true`, Manifest{}, Grant{}, Refusal{}},
		{"random numbers", `random = true`, Manifest{Random: true}, Grant{Random: true}, Refusal{}},
		{"no random numbers", `random = false`, Manifest{Random: true}, Grant{}, Refusal{"random", "at all", "t", "edge.toml:2", "it could have random = true"}},
		{"the module's limit, which is less", `limits.memory = "1 GiB"`, Manifest{Limits: Limits{Memory: 64 << 20}}, Grant{Limits: Limits{Memory: 64 << 20}}, Refusal{}},
		{"the policy's limit, where it has none", `limits.memory = "1 GiB"`, Manifest{}, Grant{Limits: Limits{Memory: 1 << 30}}, Refusal{}},
		{"the policy's own limit", `limits.memory = "1 GiB"`, Manifest{Limits: Limits{Memory: 1 << 30}}, Grant{Limits: Limits{Memory: 1 << 30}}, Refusal{}},
		{"too much memory", `limits.memory = "1 GiB"`, Manifest{Limits: Limits{Memory: 2 << 30}}, Grant{},
			Refusal{"limits.memory", "of 2 GiB, over 1 GiB", "t", "edge.toml:2", `it could have limits.memory = "2 GiB"`}},
		{"more than all may have together", `quota.memory = "1 GiB"`, Manifest{Limits: Limits{Memory: 2 << 30}}, Grant{},
			Refusal{"quota.memory", "of 2 GiB, over 1 GiB", "t", "edge.toml:2", `it could have quota.memory = "2 GiB"`}},
		{"too much output", `limits.output = "1 MiB"`, Manifest{Limits: Limits{Output: 1<<20 + 1}}, Grant{},
			Refusal{"limits.output", "of 1048577 B, over 1 MiB", "t", "edge.toml:2", `it could have limits.output = "1048577 B"`}},
		{"too long a deadline", `limits.deadline = "1s"`, Manifest{Limits: Limits{Deadline: time.Minute}}, Grant{},
			Refusal{"limits.deadline", "of 1m0s, over 1s", "t", "edge.toml:2", `it could have limits.deadline = "1m0s"`}},
		{"fuel", "meter = true\nlimits.fuel = 1000", Manifest{Limits: Limits{Fuel: 999}}, Grant{Limits: Limits{Fuel: 999}}, Refusal{}},
		{"too much fuel", "meter = true\nlimits.fuel = 1000", Manifest{Limits: Limits{Fuel: 1001}}, Grant{},
			Refusal{"limits.fuel", "of 1001, over 1000", "t", "edge.toml:3", "it could have limits.fuel = 1001"}},
		{"fuel that would not be counted", "meter = false", Manifest{Limits: Limits{Fuel: 5}}, Grant{},
			Refusal{"meter", "for its limit on fuel", "t", "edge.toml:2", "it could have meter = true"}},
	}
	for _, tt := range tests {
		g, err := parse(t, "[default]\n"+tt.policy+"\n").For("t").Grant(tt.m)
		g.Tenant, g.connectAt, g.Egress = "", "", Egress{}
		if !reflect.DeepEqual(g, tt.want) {
			t.Errorf("%s: granted %+v; want %+v", tt.why, g, tt.want)
		}
		var refusal *Refusal
		switch found := errors.As(err, &refusal); {
		case tt.refuse == Refusal{}:
			if err != nil {
				t.Errorf("%s: %v", tt.why, err)
			}
		case !found || *refusal != tt.refuse:
			t.Errorf("%s: got %#v, %v; want %#v", tt.why, refusal, err, tt.refuse)
		case !strings.Contains(err.Error(), tt.refuse.Capability) || !strings.Contains(err.Error(), tt.refuse.Where):
			t.Errorf("%s: %q does not name the capability and the line", tt.why, err)
		}
	}
}

// TestRefusalNamesTheTable holds that a refusal names the line that decides, which may
// be another table's, and the table where a change would be for this tenant alone.
func TestRefusalNamesTheTable(t *testing.T) {
	p := parse(t, example)
	tests := []struct {
		why, tenant string
		m           Manifest
		want        string
	}{
		{"the tenant's own", "acme-1", Manifest{Connect: []string{"a:1"}}, `tenant "acme-1" is not granted connect "a:1": edge.toml:8 decides; it could have`},
		{"that of [default]", "acme-1", Manifest{Models: []string{"m"}}, `edge.toml:2 decides; the table at edge.toml:6 could have models = ["m"] of its own`},
		{"that of the built-in policy", "acme-1", Manifest{Host: []string{"h"}}, `the built-in policy decides; the table at edge.toml:6 could have host = ["h"] of its own`},
		{"a key in a table below", "acme-1", Manifest{Limits: Limits{Memory: 1 << 30}}, `limits.memory of 1 GiB, over 512 MiB: edge.toml:17 decides`},
		{"another tenant's", "beta", Manifest{Host: []string{"h"}}, `tenant "beta" is not granted host "h": edge.toml:22 decides`},
	}
	for _, tt := range tests {
		if _, err := p.For(tt.tenant).Grant(tt.m); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v; want %q in it", tt.why, err, tt.want)
		}
	}
}

func TestAllRefusalsAtOnce(t *testing.T) {
	r := Default().For("t")
	_, err := r.Grant(Manifest{Host: []string{"a"}, Connect: []string{"b:1"}, Env: []string{"C"}})
	if n := strings.Count(err.Error(), "is not granted"); n != 3 {
		t.Errorf("%d refusals in %q; want 3", n, err)
	}
	var many Manifest
	for _, a := range "abcdefghijklmnopqrstuvwxyz" {
		many.Env = append(many.Env, string(a))
	}
	_, err = r.Grant(many)
	if n := strings.Count(err.Error(), "is not granted"); n != maxErrors || !strings.HasSuffix(err.Error(), "and 10 more") {
		t.Errorf("%d refusals in %q; want %d and \"and 10 more\"", n, err, maxErrors)
	}
}

func TestGrantRefusesABadManifest(t *testing.T) {
	if _, err := Default().For("t").Grant(Manifest{Class: "fast"}); err == nil || !strings.Contains(err.Error(), "class") {
		t.Errorf("got %v; want the error of Check", err)
	}
}

// The zero Rules grant nothing.
func TestZeroRules(t *testing.T) {
	var r Rules
	if _, err := r.Grant(Manifest{}); err != nil {
		t.Errorf("a module that asks for nothing: %v", err)
	}
	if _, err := r.Grant(Manifest{Clock: true}); err == nil {
		t.Error("the zero Rules grant the clock")
	}
}

// Grants are equal if they grant the same, whatever line says so.
func TestGrantEqual(t *testing.T) {
	grant := func(text string) Grant {
		t.Helper()
		p, err := ParsePolicy("edge.toml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		g, err := p.For("acme").Grant(Manifest{Connect: []string{"a.example:1"}, Clock: true})
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	first := grant("[default]\nconnect = [\"a.example:1\"]\n")
	for text, want := range map[string]bool{
		"# one line more\n[default]\nconnect = [\"a.example:1\"]\n":              true,
		"[[tenant]]\nname = \"acme\"\nconnect = [\"a.example:1\"]\n":             true,
		"[default]\nconnect = [\"a.example:1\", \"b.example:1\"]\n":              false,
		"[default]\nconnect = [\"a.example:1\"]\nlimits.deadline = \"1s\"\n":     false,
		"[default]\nconnect = [\"a.example:1\"]\nquota.egress_connections = 1\n": false,
		"[default]\nconnect = [\"a.example:1\"]\nquota.weight = 3\n":             true,
	} {
		if got := first.Equal(grant(text)); got != want {
			t.Errorf("%q: equal %v, want %v", text, got, want)
		}
	}
}
