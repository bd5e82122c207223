package onnx

import (
	"os"
	"path/filepath"
	"runtime"
)

// Env is the environment variable that names the library's file.
const Env = "BUNGEE_ONNXRUNTIME"

// Library returns the files that New tries as the library of ONNX Runtime, in their
// order: only path, if it is not empty; else only the file that the environment variable
// [Env] names, if it is set; else the file that scripts/onnxruntime.sh installs, and the
// usual names of the library, which the dynamic linker finds.
func Library(path string) []string {
	if path != "" {
		return []string{path}
	}
	if path = os.Getenv(Env); path != "" {
		return []string{path}
	}
	return append(cached(), usualNames()...)
}

// cached returns the library in the user's cache, if it is there.
func cached() []string {
	dir, err := os.UserCacheDir()
	if err != nil {
		return nil
	}
	path := filepath.Join(dir, "bungee", "onnxruntime", usualNames()[0])
	if st, err := os.Stat(path); err != nil || !st.Mode().IsRegular() {
		return nil
	}
	return []string{path}
}

func usualNames() []string {
	switch runtime.GOOS {
	case "windows":
		return []string{"onnxruntime.dll"}
	case "darwin":
		return []string{"libonnxruntime.dylib", "libonnxruntime.1.dylib"}
	}
	return []string{"libonnxruntime.so.1", "libonnxruntime.so"}
}
