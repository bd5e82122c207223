package catalog

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/bungee-xr/bungee/hostfunc/nn/model"
)

// Bounds on the text files beside a model.
const (
	maxText   = 1 << 20 // bytes
	maxLabels = 1 << 14
)

// isFile reports whether a name is a path rather than the name of an entry.
func isFile(name string) bool {
	ext := filepath.Ext(name)
	return ext == ".onnx" || ext == ".weights"
}

// ownFile returns the model at path. One that is in the catalog byte for byte
// is used as the catalog says.
func ownFile(path string, opt Options) (Found, error) {
	stem := strings.TrimSuffix(path, filepath.Ext(path))
	paths := []string{path}
	if filepath.Ext(path) == ".weights" {
		paths = append(paths, stem+".cfg")
	}
	if e, ok := sameAs(paths); ok {
		e.Head = cmp.Or(opt.Head, e.Head)
		return Found{e, "took " + path + ", which is the catalog's " + e.Name}, nil
	}
	e, err := describe(stem, paths, opt)
	if err != nil {
		return Found{}, err
	}
	if err := e.Model.Check(); err != nil {
		return Found{}, err
	}
	prepared := "the head of " + e.Head
	if e.Head == "" {
		prepared = "prepared as for yolov8 and read by its outputs' shape, since no head was given"
	}
	why := fmt.Sprintf("took %s as asked, not one of the catalog: input %dx%d, %s, %d labels",
		path, e.Model.InputW, e.Model.InputH, prepared, len(e.Labels))
	return Found{e, why}, nil
}

// sameAs returns the entry whose files these are.
func sameAs(paths []string) (Entry, bool) {
	for _, e := range Entries() {
		if len(e.Model.Files) != len(paths) {
			continue
		}
		same := true
		for i, p := range paths {
			same = same && matches(p, e.Model.Files[i])
			e.Model.Files[i].Path = p
		}
		if same {
			return e, true
		}
	}
	return Entry{}, false
}

// describe makes an entry for the user's own files.
func describe(stem string, paths []string, opt Options) (Entry, error) {
	head, side := opt.Head, cmp.Or(opt.InputSize, 640)
	switch {
	case len(paths) == 2 && head == "":
		head = "darknet"
	case head == "centernet":
		side = cmp.Or(opt.InputSize, 512)
	}
	files := make([]model.File, len(paths))
	for i, p := range paths {
		files[i].Path = p
	}
	m := input(filepath.Base(stem), head, side, files...)
	if len(paths) == 2 && opt.InputSize == 0 {
		var err error
		if m.InputW, m.InputH, err = darknetSize(paths[1]); err != nil {
			return Entry{}, err
		}
	}
	labels, err := readLabels(stem + ".names")
	if err != nil {
		return Entry{}, err
	}
	return Entry{Name: m.Name, Head: head, Labels: labels, Model: m, Licence: "unknown", Source: paths[0]}, nil
}

// darknetSize returns the input size that a .cfg gives in its section [net].
func darknetSize(path string) (w, h int, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, 0, fmt.Errorf("a .weights file needs its .cfg beside it: %w", err)
	}
	defer f.Close()
	w, h = parseNet(f)
	if w < 1 || h < 1 {
		return 0, 0, fmt.Errorf("%s has no width and height in its section [net]", path)
	}
	return w, h, nil
}

// parseNet returns width and height of the first section, zero if not given.
func parseNet(r io.Reader) (w, h int) {
	sections := 0
	s := bufio.NewScanner(io.LimitReader(r, maxText))
	for s.Scan() && sections < 2 {
		line := strings.TrimSpace(s.Text())
		if strings.HasPrefix(line, "[") {
			sections++
		}
		key, value, _ := strings.Cut(line, "=")
		n, err := strconv.Atoi(strings.TrimSpace(value))
		if err != nil || n < 1 || n > 1<<15 {
			continue
		}
		switch strings.TrimSpace(key) {
		case "width":
			w = n
		case "height":
			h = n
		}
	}
	return w, h
}

// readLabels returns the lines of a file, COCO's where it does not exist.
func readLabels(path string) ([]string, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return COCO(), nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	labels, err := parseLabels(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return labels, nil
}

func parseLabels(r io.Reader) ([]string, error) {
	var labels []string
	s := bufio.NewScanner(io.LimitReader(r, maxText))
	for s.Scan() {
		if len(labels) == maxLabels {
			return nil, fmt.Errorf("it has more than %d labels", maxLabels)
		}
		labels = append(labels, strings.TrimSpace(strings.ToValidUTF8(s.Text(), "?")))
	}
	for len(labels) > 0 && labels[len(labels)-1] == "" {
		labels = labels[:len(labels)-1]
	}
	if len(labels) == 0 && s.Err() == nil {
		return nil, errors.New("it has no labels: one a line, in the order of the classes")
	}
	return labels, s.Err()
}
