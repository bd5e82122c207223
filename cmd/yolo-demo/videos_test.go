//go:build cgo && opencv

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// videoKinds are containers and codecs, as ffmpeg makes them of the test's pictures.
var videoKinds = []struct{ name, args string }{
	{"h264.mp4", "-c:v libx264"},
	{"h264-bframes.mp4", "-c:v libx264 -bf 3 -g 30"},
	{"h264-fragmented.mp4", "-c:v libx264 -movflags frag_keyframe+empty_moov"},
	{"h264.mkv", "-c:v libx264"},
	{"h264.ts", "-c:v libx264"},
	{"h264.flv", "-c:v libx264"},
	{"h264.mov", "-c:v libx264"},
	{"raw.h264", "-c:v libx264 -bf 2"},
	{"hevc.mp4", "-c:v libx265 -x265-params log-level=none"},
	{"raw.hevc", "-c:v libx265 -x265-params log-level=none"},
	{"vp8.webm", "-c:v libvpx -deadline realtime"},
	{"vp9.webm", "-c:v libvpx-vp9 -deadline realtime -cpu-used 8"},
	{"live.webm", "-c:v libvpx -deadline realtime -live 1"},
	{"mpeg1.mpg", "-c:v mpeg1video -r 25"},
	{"mpeg2.vob", "-c:v mpeg2video -bf 2"},
	{"mpeg2.ts", "-c:v mpeg2video"},
	{"mpeg4.avi", "-c:v mpeg4 -bf 2"},
	{"mjpeg.avi", "-c:v mjpeg"},
	{"theora.ogv", "-c:v libtheora"},
	{"wmv.asf", "-c:v wmv2"},
	{"animation.gif", ""},
	{"variable.mkv", "-c:v libx264 -vf setpts='N/(25*TB)*(1+mod(N\\,3))' -vsync vfr"},
	{"odd.mkv", "-c:v ffv1 -s 161x91"},
}

// ffmpeg runs ffmpeg or ffprobe in dir.
func ffmpeg(t *testing.T, dir, program string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Skip("needs ffmpeg: apt-get install -y --no-install-recommends ffmpeg; then go test -tags opencv -run Videos -v ./cmd/yolo-demo")
	}
	cmd := exec.Command(path, args...)
	cmd.Dir = dir
	var says bytes.Buffer
	cmd.Stderr = &says
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, says.String())
	}
	return string(out)
}

// makeVideo makes a video of a kind and returns its path.
func makeVideo(t *testing.T, dir, name string) string {
	t.Helper()
	for _, k := range videoKinds {
		if k.name == name {
			return makeVideoOf(t, dir, name, k.args)
		}
	}
	t.Fatal("no kind of video is called " + name)
	return ""
}

// makeVideoOf makes a video with these arguments of ffmpeg.
func makeVideoOf(t *testing.T, dir, name, args string) string {
	t.Helper()
	line := "-v error -y -f lavfi -i testsrc=size=160x90:rate=25:duration=3 " + args + " " + name
	ffmpeg(t, dir, "ffmpeg", strings.Fields(strings.ReplaceAll(line, "'", ""))...)
	return filepath.Join(dir, name)
}

// framesOf returns how many frames ffmpeg decodes.
func framesOf(t *testing.T, path string) int {
	t.Helper()
	out := ffmpeg(t, "", "ffprobe", "-v", "error", "-select_streams", "v:0", "-count_frames", "-show_entries", "stream=nb_read_frames", "-of", "csv=p=0", path)
	first, _, _ := strings.Cut(strings.TrimSpace(out), "\n") // a program stream's are told twice
	n, err := strconv.Atoi(strings.Trim(first, ", \r"))
	if err != nil {
		t.Fatalf("ffprobe says %q of %s: %v", out, path, err)
	}
	return n
}

// played returns how many frames the demo's camera gives in a pass, and how many it says that it lacks.
func played(t *testing.T, path string) (frames, short int) {
	t.Helper()
	c, err := openCamera(t.Context(), path, false)
	if err != nil {
		t.Error(err)
		return 0, 0
	}
	defer c.Close()
	for {
		switch err := c.next(t.Context()); {
		case errors.Is(err, errVideoEnd):
			return frames, c.short
		case err != nil:
			t.Fatal(err)
		}
		frames++
	}
}

// Every video that ffmpeg plays gives all its frames, or the report says how many it lacks. These are a kind of each
// way of reading: with a number of frames and without, of a variable rate, and with frames out of order.
func TestVideos(t *testing.T) {
	playAll(t, "h264-bframes.mp4", "raw.h264", "live.webm", "mpeg4.avi", "variable.mkv")
}

// TestVideosOfAllKinds prints its table with -v.
func TestVideosOfAllKinds(t *testing.T) {
	if os.Getenv("BUNGEE_ALL_VIDEOS") == "" {
		t.Skip("all kinds take a while, and five are tested anyway: BUNGEE_ALL_VIDEOS=1 go test -tags opencv -run VideosOfAllKinds -v ./cmd/yolo-demo")
	}
	var names []string
	for _, k := range videoKinds {
		names = append(names, k.name)
	}
	playAll(t, names...)
}

// playAll makes videos of these kinds, plays them, and those of BUNGEE_CASES where it names a folder.
func playAll(t *testing.T, names ...string) {
	t.Helper()
	dir := t.TempDir()
	var paths []string
	for _, name := range names {
		paths = append(paths, makeVideo(t, dir, name))
	}
	if cases := os.Getenv("BUNGEE_CASES"); cases != "" {
		paths = append(paths, filepath.Join(cases, "raw.h264"), filepath.Join(cases, "live.webm"))
	}
	table := fmt.Sprintf("%-22s %8s %8s %8s\n", "video", "ffmpeg", "demo", "said")
	for _, path := range paths {
		want := framesOf(t, path)
		got, short := played(t, path)
		table += fmt.Sprintf("%-22s %8d %8d %8d\n", filepath.Base(path), want, got, short)
		if got+short < want || got < want/2 {
			t.Errorf("%s: %d of %d frames, and the report says that %d are lacking", filepath.Base(path), got, want, short)
		}
		if got == want && short > 0 {
			t.Errorf("%s: all of %d frames came, and the report says that %d are lacking", filepath.Base(path), want, short)
		}
	}
	t.Log("\n" + table)
}

// A looped video begins again with its first frame, whatever its kind.
func TestLoopedVideos(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"raw.h264", "live.webm", "mpeg1.mpg"} {
		path := makeVideo(t, dir, name)
		n := framesOf(t, path)
		c, err := openCamera(t.Context(), path, true)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 2*n + 1 {
			if err := c.next(t.Context()); err != nil {
				t.Fatalf("%s, frame %d of twice %d: %v", name, i, n, err)
			}
		}
		if c.read != 1 {
			t.Errorf("%s: frame %d of the third pass after twice %d and one; want 1", name, c.read, n)
		}
		c.Close()
	}
}
