package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Each job of examples/reading is named in its README, and its cases hold.
func TestTheReadingExampleHolds(t *testing.T) {
	t.Parallel()
	const folder = "../../examples/reading"
	code, out, diag := invoke(t, "test", "-c", filepath.Join(folder, "waybill.yaml"))
	if code != exitDone || !strings.HasSuffix(out, "10 cases, 0 failed\n") {
		t.Errorf("waybill test ends with %d: %s\n%s", code, diag, out)
	}
	readme, err := os.ReadFile(filepath.Join(folder, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	jobs, err := filepath.Glob(filepath.Join(folder, "jobs.d", "*.yaml"))
	if err != nil || len(jobs) < 11 {
		t.Errorf("%d jobs, %v", len(jobs), err)
	}
	for _, job := range jobs {
		if !strings.Contains(string(readme), "(jobs.d/"+filepath.Base(job)+")") {
			t.Errorf("the README does not speak of %s", job)
		}
	}
}

// samplesOf is what jobs of examples/reading say of files of the samples, in the first two lines of a trial.
func samplesOf() []struct{ job, file, want string } {
	return []struct{ job, file, want string }{
		{"ubl", "ubl/UBL-Order-2.1-Example.xml", "would be accepted; 1 record, 1 message, 0 rejected"},
		{"ubl", "ubl/UBL-Order-2.0-Example.xml", "would be accepted; 1 record, 1 message, 0 rejected"},
		{"ubl", "ubl/UBL-Order-2.0-Example-International.xml", "would be accepted; 1 record, 1 message, 0 rejected"},
		{"commerceml", "commerceml/carono-orders.xml", "would be accepted; 1 record, 1 message, 0 rejected"},
		{"commerceml", "commerceml/argentcrusade-documents.xml", "would be rejected; 2 records, 0 messages, 1 rejected"},
		{"goods", "commerceml/dobromyslov-import0_1.xml", "would be accepted; 36 records, 36 messages, 0 rejected"},
		{"offers", "commerceml/dobromyslov-offers0_1.xml", "would be accepted; 44 records, 44 messages, 0 rejected"},
		{"recipes", "beerxml/pybeerxml-CoffeeStout.xml", "would be accepted; 1 record, 1 message, 0 rejected"},
		{"recipes", "beerxml/rossmerr-recipes.xml", "would be accepted; 1 record, 1 message, 0 rejected"},
		{"technology-card", "batchml/cough-syrup-master-recipe-batchml-v02.xml", "would be accepted; 1 record, 1 message, 0 rejected"},
		{"weighing", "b2mml-courbon/PRO-20121210181416-27942.xml", "would be accepted; 1 record, 1 message, 0 rejected"},
		{"stock", "b2mml-courbon/INV-20121210175555-0001L0001_01.xml", "would be accepted; 1 record, 1 message, 0 rejected"},
		{"stock", "b2mml-courbon/LOT-20121210170718-0001L0001.xml", "would be accepted; 1 record, 1 message, 0 rejected"},
		{"edifact", "edifact/pydifact-order-d96a-comma-decimal.edi", "would be held; 1 record, 0 messages, 0 rejected"},
		{"edifact", "edifact/smooks-orders-d96a-no-unz.txt", "would be held; 1 record, 0 messages, 0 rejected"},
	}
}

// The jobs of examples/reading take the files of public projects; what comes out of some of them package jobs compares.
func TestTheReadingExampleTakesTheSamples(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat(samples); err != nil {
		t.Skipf("the samples are not there: %v", err)
	}
	for _, c := range samplesOf() {
		t.Run(c.job+" "+filepath.Base(c.file), func(t *testing.T) {
			t.Parallel()
			_, out, diag := invoke(t, "try", "-c", "../../examples/reading/waybill.yaml", c.job, filepath.Join(samples, c.file))
			state, counts, _ := strings.Cut(strings.TrimPrefix(out, filepath.Base(c.file)+" "), "\n")
			state, _, _ = strings.Cut(state, " by ")
			counts, _, _ = strings.Cut(counts, "\n")
			if got := state + "; " + counts; got != c.want {
				t.Errorf("%s, not %s\n%s%s", got, c.want, diag, out)
			}
		})
	}
}
