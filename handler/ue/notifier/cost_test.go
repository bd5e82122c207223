package notifier

import (
	"fmt"
	"os"
	"testing"
	"time"
)

// BenchmarkAtFourHertz is what a sample costs, and as a share of a core at 4 samples a second, 0.2 % at most: of this machine, and of the
// files that a phone has, which are on a disk here, with this machine's /proc.
func BenchmarkAtFourHertz(b *testing.B) {
	b.Run("machine", func(b *testing.B) { benchmarkRoot(b, "/") })
	b.Run("phone", func(b *testing.B) { benchmarkRoot(b, device(b, phone())) })
}

func benchmarkRoot(b *testing.B, root string) {
	s := NewSystem(&SystemConfig{Root: root})
	defer s.Close()
	g := newRig(s)
	g.after(0)
	b.ReportAllocs()
	begin, _ := processTime()
	for b.Loop() {
		g.after(usual) // so that it is looked what there is as often as at that rate
	}
	end, _ := processTime()
	each := float64(end-begin) / float64(b.N)
	b.ReportMetric(100*each*4/float64(time.Second), "%core")
}

// phone has 80 thermal zones, of which half are of the processor, 8 cores in 3 clusters, and a battery.
func phone() map[string]string {
	files := map[string]string{}
	for i := range 80 {
		dir, kind := fmt.Sprintf("sys/class/thermal/thermal_zone%d/", i), fmt.Sprintf("cpu-%d-%d-usr", i%2, i/2)
		if i >= 40 {
			kind = fmt.Sprintf("pm8550-%d", i)
		}
		files[dir+"type"], files[dir+"temp"] = kind, fmt.Sprint(45000+i)
		dir = fmt.Sprintf("sys/class/thermal/cooling_device%d/", i)
		files[dir+"type"], files[dir+"cur_state"], files[dir+"max_state"] = fmt.Sprintf("cpufreq-cpu%d", i), "0", "12"
	}
	for _, first := range []string{"0", "4", "7"} {
		dir := "sys/devices/system/cpu/cpufreq/policy" + first + "/"
		files[dir+"affected_cpus"], files[dir+"scaling_cur_freq"], files[dir+"cpuinfo_max_freq"] = first, "1800000", "3200000"
	}
	const battery = "sys/class/power_supply/battery/"
	for name, text := range map[string]string{"type": "Battery", "status": "Discharging", "capacity": "60", "voltage_now": "4000000", "current_now": "500000", "charge_full": "5000000"} {
		files[battery+name] = text
	}
	own := fmt.Sprintf("%d/", os.Getpid())
	for _, name := range []string{"stat", "meminfo", "net/dev", own + "statm", own + "stat", own + "status"} {
		if text, err := os.ReadFile("/proc/" + name); err == nil {
			files["proc/"+name] = string(text)
		}
	}
	files["proc/net/route"] = heading + wlan600
	files["sys/class/net/wlan0/type"], files["sys/class/net/wlan0/phy80211/index"] = "1", "0"
	return files
}
