//go:build cgo

package onnx

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"

	ort "github.com/yalue/onnxruntime_go"
)

// environment guards the one environment that a process has: the library keeps it
// in variables.
var environment sync.Mutex

// initialise loads the library, once. Its error wraps ErrNoLibrary.
func initialise(cfg Config) error {
	environment.Lock()
	defer environment.Unlock()
	if ort.IsInitialized() {
		return nil
	}
	all, err := candidates(cfg.Library, cfg.LibrarySHA256)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNoLibrary, err)
	}
	var faults []error
	for _, c := range all {
		err := load(c, cfg.Provider)
		if err == nil {
			return nil
		}
		faults = append(faults, err)
	}
	return fmt.Errorf("%w: give the file of its library, version 1.24 or later, in %s or run scripts/onnxruntime.sh: %w",
		ErrNoLibrary, Env, errors.Join(faults...))
}

// held is the file of the library that was loaded: its descriptor's path is how the dynamic
// linker knows it, and must name nothing else later.
var held *os.File

// load loads the library of c, if it is as it must be.
func load(c candidate, provider string) error {
	f, err := c.open()
	if err != nil {
		return err
	}
	path := c.file
	// CUDA's provider is another library, which is looked for beside the path.
	if f != nil && runtime.GOOS == "linux" && provider != CUDA {
		path = fmt.Sprintf("/proc/self/fd/%d", f.Fd())
	}
	ort.SetSharedLibraryPath(path)
	if err := ort.InitializeEnvironment(ort.WithLogLevelFatal()); err != nil {
		if f != nil {
			f.Close()
		}
		return fmt.Errorf("%s: %w", c.file, err)
	}
	held = f
	return nil
}

// Version returns the version of the loaded library, or "" when none is loaded.
func Version() string {
	environment.Lock()
	defer environment.Unlock()
	if !ort.IsInitialized() {
		return ""
	}
	return ort.GetVersion()
}
