//go:build cgo

package onnx

import (
	"errors"
	"fmt"
	"sync"

	ort "github.com/yalue/onnxruntime_go"
)

// environment guards the one environment that a process has: the library keeps it
// in variables.
var environment sync.Mutex

// initialise loads the library, once.
func initialise(path string) error {
	environment.Lock()
	defer environment.Unlock()
	if ort.IsInitialized() {
		return nil
	}
	var faults []error
	for _, file := range Library(path) {
		ort.SetSharedLibraryPath(file)
		err := ort.InitializeEnvironment(ort.WithLogLevelFatal())
		if err == nil {
			return nil
		}
		faults = append(faults, err)
	}
	return fmt.Errorf("%w: give the file of its library, version 1.24 or later, in %s or run scripts/onnxruntime.sh: %w",
		ErrNoLibrary, Env, errors.Join(faults...))
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
