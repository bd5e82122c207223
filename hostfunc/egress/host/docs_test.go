package host_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/bungee-xr/bungee/capability"
	"github.com/bungee-xr/bungee/hostfunc/egress"
	"github.com/bungee-xr/bungee/hostfunc/egress/host"
)

// A grant has the rules that egress needs.
var _ egress.Rules = capability.Grant{}

// TestDocs holds docs/hostfunctions.md to the functions that there are.
func TestDocs(t *testing.T) {
	text, err := os.ReadFile("../../../docs/hostfunctions.md")
	if err != nil {
		t.Fatal(err)
	}
	funcs, done := host.Functions(nil, host.Config{}).New()
	defer done()
	for _, f := range funcs {
		if row := fmt.Sprintf("\n| `%s` | `(%s) %s` |", f.Name, f.Params, f.Results); !strings.Contains(string(text), row) {
			t.Errorf("there is no line %q", row[1:])
		}
	}
}
