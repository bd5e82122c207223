//go:build cgo && opencv

package main

import (
	"errors"
	"fmt"
	"image"
	"image/color"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"
	"gocv.io/x/gocv"

	"github.com/bungee-xr/bungee/cmd/yolo-demo/internal/head"
)

// pictureFolder makes a folder of n pictures of w x h pixels. A white bar is at column 4i of picture i.
func pictureFolder(t *testing.T, n, w, h int) string {
	t.Helper()
	dir := t.TempDir()
	for i := range n {
		m := gocv.NewMatWithSize(h, w, gocv.MatTypeCV8UC3)
		gocv.Rectangle(&m, image.Rect(4*i, 0, 4*i+4, h), color.RGBA{255, 255, 255, 0}, -1)
		if !gocv.IMWrite(filepath.Join(dir, fmt.Sprintf("frame%d.png", i)), m) {
			t.Fatal("a picture cannot be written")
		}
		m.Close()
	}
	return dir
}

// annotated writes the annotated video of a folder of pictures and returns its path.
func annotated(t *testing.T, n, w, h int) string {
	t.Helper()
	c, err := openCamera(t.Context(), pictureFolder(t, n, w, h), true)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	all := make([]picture, n)
	for i := range all {
		all[i] = picture{boxes: []head.Box{{X: 10, Y: 30, W: 40, H: 30, Score: 0.9}}, labels: []string{"bar"}, caption: fmt.Sprint("frame ", i)}
	}
	path := filepath.Join(t.TempDir(), "annotated.mp4")
	if err := writeVideo(t.Context(), path, c, all, func(int) {}); err != nil {
		t.Fatal(err)
	}
	return path
}

// The annotated video plays in a browser, from its first frame to its last, whatever its size.
func TestAnnotatedVideoPlays(t *testing.T) {
	for _, size := range []image.Point{{160, 96}, {161, 97}} {
		path := annotated(t, 20, size.X, size.Y)
		if got, short := played(t, path); got != 20 || short != 0 {
			t.Errorf("%v: %d frames, %d lacking; want 20", size, got, short)
		}
		got := playInBrowser(t, path)
		want := fmt.Sprintf("ended %dx%d", size.X+size.X%2, size.Y+size.Y%2)
		if got != want {
			t.Errorf("%v: the browser says %q; want %q", size, got, want)
		}
	}
}

// playInBrowser plays a video in headless Chromium and returns how that went.
func playInBrowser(t *testing.T, path string) string {
	t.Helper()
	browser := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil && browser == "" {
			browser = found
		}
	}
	if browser == "" {
		t.Skip("no Chromium here; apt-get install -y --no-install-recommends chromium, then go test -tags opencv -run Plays ./cmd/yolo-demo")
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/video.mp4", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, path) })
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, `<!doctype html><video id="v" muted src="video.mp4"></video>`)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(browser), chromedp.UserDataDir(t.TempDir()),
		chromedp.DisableGPU, chromedp.Flag("autoplay-policy", "no-user-gesture-required"))
	if os.Getuid() == 0 {
		opts = append(opts, chromedp.NoSandbox)
	}
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), opts...)
	defer cancel()
	ctx, end := chromedp.NewContext(ctx)
	defer end()
	if err := chromedp.Do(ctx, chromedp.Navigate(server.URL)); err != nil {
		t.Fatal(err)
	}
	const play = `new Promise((done) => {
		const v = document.getElementById("v");
		const failed = () => done("failed: " + (v.error ? v.error.message : "unknown"));
		v.onended = () => done("ended " + v.videoWidth + "x" + v.videoHeight);
		v.onerror = failed;
		if (v.error) failed(); else v.play().catch((e) => done("refused: " + e));
	})`
	said, err := chromedp.Run(ctx, chromedp.Evaluate[string](play, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatal(err)
	}
	return said
}

// Pictures come in the order in which a person counts them, once each.
func TestPictures(t *testing.T) {
	dir := pictureFolder(t, 12, 64, 32)
	if err := os.WriteFile(filepath.Join(dir, "notes.txt"), []byte("no picture"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{dir, filepath.Join(dir, "frame*.png"), filepath.Join(dir, "frame%d.png"), filepath.Join(dir, "frame%04d.png")} {
		c, err := openCamera(t.Context(), name, false)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		n := 0
		for ; c.next(t.Context()) == nil; n++ {
			if c.mat.GetUCharAt(0, 3*(4*n+2)) != 255 {
				t.Errorf("%s: frame %d is another picture", name, n)
			}
		}
		if n != 12 {
			t.Errorf("%s: %d pictures; want 12", name, n)
		}
		c.Close()
	}
}

func TestPicturesThatAreNone(t *testing.T) {
	dir := pictureFolder(t, 3, 64, 32)
	if err := os.WriteFile(filepath.Join(dir, "frame1.png"), []byte("no picture"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := openCamera(t.Context(), dir, false)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.next(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.next(t.Context()); err == nil || errors.Is(err, errVideoEnd) {
		t.Errorf("a picture that does not decode: %v; want an error that names it", err)
	}
	if _, err := openCamera(t.Context(), t.TempDir(), false); err == nil {
		t.Error("a folder without pictures was opened")
	}
}
