package catalog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// ErrNotFound says that [Resolve] found no usable files of the model. Its error wraps
// this one, and says what was tried and how to get the files.
var ErrNotFound = errors.New("no usable files of the model")

// Options configure [Resolve]. The zero Options are ready to use.
type Options struct {
	// Dir is the folder to search first. Empty means the folder that the environment
	// variable BUNGEE_MODELS names.
	Dir string
	// CacheDir is the folder for fetched models. Empty means bungee/models in the
	// user's cache folder.
	CacheDir string
	// Offline forbids Resolve to fetch files.
	Offline bool

	// Head is the form of the outputs and of the input of the user's own model:
	// darknet, yolox, yolov6, centernet, yolov5 (v7, too), yolov8 (v9, 11 and 12, too),
	// yolov8-pose, yolov8-obb, yolov8-seg or end2end (v10, and what has its suppression
	// inside). Empty means darknet for .weights; for .onnx it means what the file says
	// of itself, or else what its outputs tell, and an input as for yolov8. For a model
	// of the catalog it replaces the entry's Head.
	Head string
	// InputSize is the side of the input of the user's own model, in pixels, where its
	// file leaves it open. Zero means what the file notes, and else 512 for centernet
	// and 640 for others. A size that an ONNX file fixes is an error here; for .weights
	// this replaces that of the .cfg.
	InputSize int

	// HTTP fetches files. Nil means a client with time limits.
	HTTP *http.Client
	// BaseURL is the folder of the Yolo-Fastest files, with a slash at its end. Empty
	// means the author's repository.
	BaseURL string
	// NPM runs the npm client with args in dir. Nil means the npm on the path.
	NPM func(ctx context.Context, dir string, args ...string) error
	// Progress is called while a file is fetched, from one goroutine at a time, with
	// bytes. total is 0 when it is not known. Nil is quiet.
	Progress func(file string, done, total int64)
}

// filled returns o with defaults, all but the head and the input's size.
func (o Options) filled() Options {
	if o.Dir == "" {
		o.Dir = os.Getenv("BUNGEE_MODELS")
	}
	if o.CacheDir == "" {
		if dir, err := os.UserCacheDir(); err == nil {
			o.CacheDir = filepath.Join(dir, "bungee", "models")
		}
	}
	if o.HTTP == nil {
		o.HTTP = defaultHTTP
	}
	if o.BaseURL == "" {
		o.BaseURL = yoloFastestURL
	}
	if o.NPM == nil {
		o.NPM = runNPM
	}
	if o.Progress == nil {
		o.Progress = func(string, int64, int64) {}
	}
	return o
}

// A Found is a detector whose files are on this machine, with the right digests.
type Found struct {
	// Entry has a Model whose paths can be opened.
	Entry
	// Why says in a sentence what was taken and from where, and why other places
	// were passed over.
	Why string
}

// Resolve finds the model called name, and fetches it if necessary. The empty name asks
// for the default. A path that ends in .onnx or .weights asks for the user's own file; its
// labels come from a file beside it that ends in .names, or from itself, or are those of COCO.
//
// When no usable files are found the error wraps [ErrNotFound]. When ctx ends the error is
// its cause.
func Resolve(ctx context.Context, name string, opt Options) (Found, error) {
	if opt.Head != "" && !slices.Contains(heads, opt.Head) {
		return Found{}, fmt.Errorf("no head is called %q; known are %s", opt.Head, strings.Join(heads, ", "))
	}
	opt = opt.filled()
	if isFile(name) {
		return ownFile(name, opt)
	}
	steps, err := plan(name, opt)
	if err != nil {
		return Found{}, err
	}
	found, err := walk(ctx, steps)
	if err != nil {
		return Found{}, fmt.Errorf("%w %s: %w; %s", ErrNotFound, cmp.Or(name, Default), err, ways(opt))
	}
	if opt.Head != "" {
		found.Head = opt.Head
	}
	return found, nil
}

// A step is a place where an entry may be.
type step struct {
	entry Entry
	place string // where, as a part of a sentence
	try   func(ctx context.Context, e Entry) (Entry, error)
}

// plan returns the steps for a name, the best first.
func plan(name string, opt Options) ([]step, error) {
	e, known := Lookup(cmp.Or(name, Default))
	if !known {
		return nil, fmt.Errorf("no model is called %q; known are %s; or give the path of a file that ends in .onnx, or in .weights with a .cfg beside it", name, names())
	}
	steps := []step{opt.folder(e), opt.cache(e)}
	if name != "" {
		return append(steps, opt.source(e)), nil
	}
	// A fallback in the cache was put there because the default could not be
	// fetched, or at the user's wish: no reason to try the network each time.
	f, _ := Lookup(fallback)
	return append(steps, opt.cache(f), opt.source(e), opt.source(f)), nil
}

// walk tries the steps in turn.
func walk(ctx context.Context, steps []step) (Found, error) {
	var passed []string
	for _, s := range steps {
		e, err := s.try(ctx, s.entry)
		if err == nil {
			return Found{Entry: e, Why: why(e.Name, s.place, passed)}, nil
		}
		if ctx.Err() != nil {
			return Found{}, context.Cause(ctx)
		}
		passed = append(passed, fmt.Sprintf("%s %s (%s)", s.entry.Name, s.place, reason(err)))
	}
	return Found{}, errors.New("not " + strings.Join(passed, ", not "))
}

func why(name, place string, passed []string) string {
	s := "took " + name + " " + place
	if len(passed) == 0 {
		return s + ", the first place looked at"
	}
	return s + "; passed over " + strings.Join(passed, ", ")
}

// ways says how the user can provide a model.
func ways(opt Options) string {
	return "put the files into a folder and name it in BUNGEE_MODELS, or into " + opt.CacheDir +
		"; or let this machine reach the source of the model (HTTPS to GitHub for yolo-fastest, the npm client for centernet)" +
		"; or give the path of a model file of your own"
}

func (o Options) folder(e Entry) step {
	if o.Dir == "" {
		return step{e, "from the folder that BUNGEE_MODELS names", func(context.Context, Entry) (Entry, error) {
			return Entry{}, errors.New("it is not set")
		}}
	}
	return step{e, "from the folder " + o.Dir, func(_ context.Context, e Entry) (Entry, error) { return e.in(o.Dir) }}
}

func (o Options) cache(e Entry) step {
	return step{e, "from the cache " + o.CacheDir, func(_ context.Context, e Entry) (Entry, error) {
		if o.CacheDir == "" {
			return Entry{}, errNoCache
		}
		return e.in(o.CacheDir)
	}}
}

var errNoCache = errors.New("this user has no cache folder; set XDG_CACHE_HOME")

// source fetches into the cache.
func (o Options) source(e Entry) step {
	return step{e, "from " + e.Source, func(ctx context.Context, e Entry) (Entry, error) {
		if o.CacheDir == "" {
			return Entry{}, errNoCache
		}
		if err := e.fetch(ctx, o); err != nil {
			return Entry{}, err
		}
		return e.in(o.CacheDir)
	}}
}

// fetch puts the entry's files into the cache.
func (e Entry) fetch(ctx context.Context, o Options) error {
	if o.Offline {
		return errors.New("nothing was to be fetched")
	}
	if e.from == byHand {
		return errors.New("it is not fetched by itself: get " + e.Model.Files[0].Path + " by hand")
	}
	if err := os.MkdirAll(o.CacheDir, 0o755); err != nil {
		return err
	}
	if e.from == byNPM {
		return fetchNPM(ctx, o, e)
	}
	return fetchHTTPS(ctx, o, e)
}

// reason says why a step failed, in few words where a file is not there.
func reason(err error) string {
	var path *fs.PathError
	if errors.As(err, &path) && errors.Is(err, fs.ErrNotExist) {
		return "no " + filepath.Base(path.Path) + " there"
	}
	return err.Error()
}
