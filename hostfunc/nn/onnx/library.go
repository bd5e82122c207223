package onnx

import (
	"os"
	"path/filepath"
	"runtime"
)

// Env is the environment variable that names the library's file.
const Env = "BUNGEE_ONNXRUNTIME"

// Library returns the files that the library of ONNX Runtime is looked for in, one
// after the other: path if it is not empty; else what the environment variable
// [Env] names; else where scripts/onnxruntime.sh puts it, and the usual names, which
// the dynamic linker finds. A file that is named is the only one.
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
