package notifier

import (
	"context"
	"path/filepath"
	"time"

	"github.com/shirou/gopsutil/v3/common"

	"github.com/bungee-xr/bungee/internal/cgroup"
)

// SystemConfig configures a [System]. The zero SystemConfig is ready to use.
type SystemConfig struct {
	// Root is the folder that holds the device's proc and sys. Empty means "/". A program in a container sets it
	// to where those of the device are mounted.
	Root string
}

// System is the source of what the operating system tells. It reads about 30 small files on a board or a laptop with Linux,
// elsewhere much less: the package's documentation says what.
type System struct {
	// Set by NewSystem, then constant.
	root, sys string

	// Owned by Read.
	looked  time.Time // when limits and batteries were last looked at
	sought  time.Time // when sensors were last searched
	files   files
	cpu     processor
	memory  memory
	network network
	probes  []probe
	battery batteries
	rapl    rapl
}

const (
	// lookEvery is how often it is looked which limits there are, and what batteries tell: their controllers are slow, and everybody asks
	// them each few seconds only.
	lookEvery = 5 * time.Second
	// seekEvery is how often sensors are searched: a phone has 500 files that say what is what. One that cannot be read is searched at
	// the next look.
	seekEvery = time.Minute
)

// NewSystem returns a System. A nil cfg means the zero SystemConfig.
func NewSystem(cfg *SystemConfig) *System {
	s := &System{root: "/"}
	if cfg != nil && cfg.Root != "" {
		s.root = cfg.Root
	}
	s.sys = filepath.Join(s.root, "sys")
	return s
}

// Read tells what the system knows.
func (s *System) Read(r *Round) {
	ctx := s.context()
	if r.Since == 0 || r.Now.Sub(s.looked) >= lookEvery {
		s.look(r)
	}
	s.cpu.read(ctx, r, &s.files)
	s.memory.read(ctx, r, &s.cpu.limits)
	s.readTemperatures(r)
	s.battery.tell(r)
	s.rapl.read(r, &s.files)
	s.network.read(ctx, r, &s.files)
}

// look finds out what there is to read.
func (s *System) look(r *Round) {
	s.looked = r.Now
	s.cpu.limits = cgroup.FindLimits(s.root)
	s.network.look(s.root, s.sys)
	s.battery.look(s.sys, r.Now, r.Since == 0)
	if r.Since == 0 || s.files.failed || r.Now.Sub(s.sought) >= seekEvery {
		s.sought = r.Now
		s.files.sweep()
		s.cpu.seek(s.sys)
		s.probes = rescaled(findProbes(s.sys), s.probes)
		s.rapl.seek(s.sys)
	}
}

// rescaled gives sensors that were known before the scale that they had.
func rescaled(probes, before []probe) []probe {
	for i := range probes {
		for _, b := range before {
			if b.file == probes[i].file && b.name == probes[i].name {
				probes[i].scale = b.scale
			}
		}
	}
	return probes
}

func (s *System) readTemperatures(r *Round) {
	for i := range s.probes {
		p := &s.probes[i]
		if v, err := p.read(&s.files); err == nil {
			r.Tell(p.metric, v, p.name)
		} else {
			r.Unknown(p.metric, p.name+": "+err.Error())
		}
	}
	if p := lowestLimitOf(s.probes); p != nil {
		r.Tell(TemperatureLimit, p.limit, p.name)
	} else {
		r.Unknown(TemperatureLimit, "no sensor tells it")
	}
	for _, m := range []Metric{Temperature, SkinTemperature} {
		if !r.told(m) {
			r.Unknown(m, "no sensor that is known")
		}
	}
}

// context tells gopsutil where proc and sys are.
func (s *System) context() context.Context {
	ctx := context.Background()
	if s.root == "/" {
		return ctx
	}
	return context.WithValue(ctx, common.EnvKey, common.EnvMap{
		common.HostProcEnvKey: filepath.Join(s.root, "proc"),
		common.HostSysEnvKey:  s.sys,
	})
}

// Close closes the files that are kept open.
func (s *System) Close() error {
	s.files.close()
	return nil
}
