package capability

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// TestRuns holds who may run which module, and what a refusal says.
func TestRuns(t *testing.T) {
	module := sha256.Sum256([]byte("module"))
	whole := hex.EncodeToString(module[:])
	begin := whole[:minDigest]
	another := module
	another[7] ^= 1 // the last byte of the 16 digits
	tests := []struct {
		why    string
		policy string
		digest [32]byte
		want   string // the refusal, or "" for none
	}{
		{"the built-in policy has all run", "", module, ""},
		{"so has a file that does not say", "[default]\nclock = true\n", module, ""},
		{"all", "[default]\nmodules = [\"*\"]\n", [32]byte{}, ""},
		{"the whole digest", fmt.Sprintf("[default]\nmodules = [%q]\n", whole), module, ""},
		{"its first 16 digits", fmt.Sprintf("[default]\nmodules = [%q]\n", begin), module, ""},
		{"an odd number of digits", fmt.Sprintf("[default]\nmodules = [%q]\n", whole[:17]), module, ""},
		{"in upper case, as other tools print it", fmt.Sprintf("[default]\nmodules = [%q]\n", strings.ToUpper(whole)), module, ""},
		{"one of several", fmt.Sprintf("[default]\nmodules = [\"ffffffffffffffff\", %q]\n", begin), module, ""},
		{"another module", fmt.Sprintf("[default]\nmodules = [%q]\n", begin), another, "edge.toml:2 decides; it could have modules = "},
		{"none at all", "[default]\nmodules = []\n", module,
			`tenant "t" is not granted modules "` + whole + `": edge.toml:2 decides; it could have modules = ["` + whole + `"]`},
		{"a tenant's list replaces the default's", fmt.Sprintf("[default]\nmodules = [%q]\n[[tenant]]\nname = \"t\"\nmodules = [\"ffffffffffffffff\"]\n", begin),
			module, "edge.toml:5 decides; it could have"},
		{"a tenant may have what the default has not", "[default]\nmodules = []\n[[tenant]]\nname = \"t\"\nmodules = [\"*\"]\n", module, ""},
		{"a tenant without a list has the default's", "[default]\nmodules = []\n[[tenant]]\nname = \"t\"\n", module,
			"edge.toml:2 decides; the table at edge.toml:3 could have modules = "},
		{"another tenant's list", "[default]\nmodules = []\n[[tenant]]\nname = \"u\"\nmodules = [\"*\"]\n", module, "edge.toml:2 decides"},
		{"the number of modules says nothing about which", "[default]\nquota.modules = 1\n", module, ""},
	}
	for _, tt := range tests {
		err := parse(t, tt.policy).For("t").Runs(tt.digest)
		var refusal *Refusal
		switch {
		case tt.want == "":
			if err != nil {
				t.Errorf("%s: %v", tt.why, err)
			}
		case !errors.As(err, &refusal) || !strings.Contains(err.Error(), tt.want):
			t.Errorf("%s: got %v; want a refusal with %q", tt.why, err, tt.want)
		case refusal.Capability != "modules" || refusal.What != fmt.Sprintf("%q", hex.EncodeToString(tt.digest[:])):
			t.Errorf("%s: the refusal is of %s %s; want the digest", tt.why, refusal.Capability, refusal.What)
		}
	}
	if err := new(Rules).Runs(module); err == nil {
		t.Error("the zero Rules have a module run")
	}
}

// What a refusal proposes is what the policy needs.
func TestRunsCure(t *testing.T) {
	module := sha256.Sum256([]byte("module"))
	err := parse(t, "[default]\nmodules = []\n").For("t").Runs(module)
	_, line, _ := strings.Cut(err.Error(), "it could have ")
	if err := parse(t, "[default]\n"+line+"\n").For("t").Runs(module); err != nil {
		t.Errorf("with what the refusal proposes, %q: %v", line, err)
	}
}
