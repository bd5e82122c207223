package browse

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"
)

// axe is the version of axe-core, which knows what stands in the way of people who do not see, or have no pointer.
const axe = "axe-core@4.14.1"

// A Violation is what axe-core finds wrong with a page.
type Violation struct {
	ID     string   `json:"id"`
	Impact string   `json:"impact"` // minor, moderate, serious or critical
	Help   string   `json:"help"`
	Nodes  []string `json:"nodes"` // where, as HTML
}

// Audit returns what axe-core finds wrong with the page that is open. The test is skipped where npm cannot bring axe-core.
func Audit(t *testing.T, ctx context.Context) []Violation {
	t.Helper()
	source, err := axeSource()
	if err != nil {
		t.Skipf("npm does not bring axe-core: %v; then run: go test -run %s ./cmd/yolo-demo/internal/page", err, t.Name())
	}
	// The end of the script gives nothing that would have to become JSON.
	if _, err := chromedp.Run(ctx, chromedp.Evaluate[bool](source+"\n;true")); err != nil {
		t.Fatalf("load axe-core: %v", err)
	}
	all, err := chromedp.Run(ctx, chromedp.Evaluate[[]Violation](`axe.run(document, {resultTypes: ["violations"]}).then((r) => r.violations.map((v) =>
		({id: v.id, impact: v.impact, help: v.help, nodes: v.nodes.map((n) => n.html + " " + n.failureSummary)})))`, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatalf("run axe-core: %v", err)
	}
	return all
}

// axeSource returns axe-core as npm brings it, once for all tests of a package.
var axeSource = sync.OnceValues(func() (string, error) {
	npm, err := exec.LookPath("npm")
	if err != nil {
		return "", errors.New("there is no npm; apt-get install -y --no-install-recommends npm")
	}
	dir, err := os.MkdirTemp("", "axe")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	cmd := exec.Command(npm, "install", "--prefix", dir, "--no-save", "--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline", axe)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("npm install %s: %w: %s", axe, err, bytes.TrimSpace(out))
	}
	b, err := os.ReadFile(filepath.Join(dir, "node_modules", "axe-core", "axe.min.js"))
	return string(b), err
})
