// Package browse looks at the demo's page in headless Chromium, for tests.
package browse

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"
)

// A Scheme is the colours that a viewer prefers, as Chromium numbers them.
type Scheme string

// The schemes.
const (
	Dark  Scheme = "0"
	Light Scheme = "1"
)

// Open opens a page in a window of that many pixels. The test is skipped where there is no Chromium. The browser ends with the test.
func Open(t *testing.T, url string, width, height int64, colours Scheme) context.Context {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		t.Skip("no Chromium here; apt-get install -y --no-install-recommends chromium, then run the test again")
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()), chromedp.DisableGPU,
		chromedp.Flag("blink-settings", "preferredColorScheme="+string(colours)),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true))
	if os.Getuid() == 0 {
		opts = append(opts, chromedp.NoSandbox)
	}
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), opts...)
	t.Cleanup(cancel)
	ctx, end := chromedp.NewContext(ctx)
	t.Cleanup(end)
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(width, height), chromedp.Navigate(url)); err != nil {
		t.Fatal(err)
	}
	return ctx
}

// Until waits for a JavaScript condition, as long as the test may take. The
// page's policy forbids eval, so that the condition is part of the script.
func Until(t *testing.T, ctx context.Context, why, condition string) {
	t.Helper()
	script := fmt.Sprintf(`new Promise((done) => {
		const look = () => (%s) ? done(true) : setTimeout(look, 20);
		look();
	})`, condition)
	if _, err := chromedp.Run(ctx, chromedp.Evaluate[bool](script, chromedp.EvalAwaitPromise)); err != nil {
		t.Fatalf("%s: waiting for %s: %v", why, condition, err)
	}
}

// Eval returns what an expression gives.
func Eval[T any](t *testing.T, ctx context.Context, expression string) T {
	t.Helper()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// Shoot keeps a screenshot where BUNGEE_SHOTS says, for a person to look at.
func Shoot(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	dir := os.Getenv("BUNGEE_SHOTS")
	if dir == "" {
		return
	}
	png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), png, 0o644); err != nil {
		t.Fatal(err)
	}
}
