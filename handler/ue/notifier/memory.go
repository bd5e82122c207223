package notifier

import (
	"context"
	"os"
	"time"

	"github.com/shirou/gopsutil/v3/mem"
	"github.com/shirou/gopsutil/v3/process"

	"github.com/bungee-xr/bungee/internal/cgroup"
)

// memory reads how much memory there is, once a second: it is a third of a sample's cost elsewise.
type memory struct {
	self *process.Process // nil where the system does not tell

	asked       time.Time
	total, free float64 // bytes; 0: not known
	from        string
	resident    float64 // bytes; 0: not known
}

const memoryEvery = time.Second

func (m *memory) read(ctx context.Context, r *Round, limits *cgroup.Limits) {
	if r.Since == 0 || r.Now.Sub(m.asked) >= memoryEvery {
		m.asked = r.Now
		m.ask(ctx, limits)
	}
	age := r.Now.Sub(m.asked)
	tell := func(metric Metric, v float64, known bool, from string) {
		if known {
			r.TellAged(metric, v, from, age)
		} else {
			r.Unknown(metric, "this system does not tell it")
		}
	}
	tell(MemoryTotal, m.total, m.total > 0, m.from)
	tell(MemoryAvailable, m.free, m.total > 0, m.from)
	tell(Resident, m.resident, m.resident > 0, residentFrom)
}

func (m *memory) ask(ctx context.Context, limits *cgroup.Limits) {
	m.total, m.free, m.from, m.resident = 0, 0, memoryFrom, 0
	if v, err := mem.VirtualMemoryWithContext(ctx); err == nil {
		m.total, m.free = float64(v.Total), float64(v.Available)
	}
	if limit := float64(limits.Memory); limit > 0 && (m.total == 0 || limit < m.total) {
		used, _ := limits.MemoryUsed() // 0 where it is not known
		if m.total == 0 {
			m.free = limit
		}
		m.total, m.from = limit, limits.MemoryFrom
		m.free = min(m.free, max(0, limit-float64(used)))
	}
	if m.self == nil {
		m.self, _ = process.NewProcessWithContext(ctx, int32(os.Getpid()))
	}
	if m.self == nil {
		return
	}
	if own, err := m.self.MemoryInfoWithContext(ctx); err == nil {
		m.resident = float64(own.RSS)
	}
}
