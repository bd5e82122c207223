package host_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/bungee-xr/bungee/hostfunc/scratch/host"
)

// TestDocs holds docs/hostfunctions.md to the functions that there are.
func TestDocs(t *testing.T) {
	text, err := os.ReadFile("../../../docs/hostfunctions.md")
	if err != nil {
		t.Fatal(err)
	}
	funcs, _ := host.Functions().New()
	for _, f := range funcs {
		kind := strings.TrimSuffix(fmt.Sprintf("(%s) %s", f.Params, f.Results), " ")
		if row := fmt.Sprintf("\n| `%s` | `%s` |", f.Name, kind); !strings.Contains(string(text), row) {
			t.Errorf("there is no line %q", row[1:])
		}
	}
}
