package jobs

import (
	"strings"
	"testing"

	"waybill/ledger"
)

const ediTail = "UNZ+1+%'\n"

// whole adds what a sample lacks.
func whole(text, reference string) string {
	return strings.TrimRight(text, "\r\n") + "\n" + strings.Replace(ediTail, "%", reference, 1)
}

// TestEDIFACTSamples runs a job over the samples, which lack UNZ, and over the same with it.
func TestEDIFACTSamples(t *testing.T) {
	t.Parallel()
	p := compile(t, sampleJob(t, "edifact"))
	comma, smooks := sample(t, "edifact/pydifact-order-d96a-comma-decimal.edi"), sample(t, "edifact/smooks-orders-d96a-no-unz.txt")
	for _, c := range []struct{ name, text, want string }{
		{"comma, cut off", comma, `held 0 of 1: the file is incomplete: line 3, column 1: interchange "807" has no UNZ, as when an upload is cut off`},
		{"smooks, cut off", smooks, `held 0 of 1: the file is incomplete: line 2, column 1: interchange "131" has no UNZ, as when an upload is cut off`},
		{"comma", whole(comma, "807"), `accepted 1 of 1: {"order":"801715918011","day":"201508030000","buyer":"8711576000012",` +
			`"parties":[{"role":"SU","id":"5020436000004"},{"role":"BY","id":"8711576000012"},{"role":"DP","id":"8711576100019"}],"total":16,` +
			`"lines":[{"no":1,"sku":"5020436373085","qty":8},{"no":2,"sku":"5020436373108","qty":8}]}`},
		{"smooks", whole(smooks, "131"), `accepted 1 of 1: {"order":"0123456789123","day":"19980106","buyer":"1135309",` +
			`"parties":[{"role":"BY","id":"1135309"},{"role":"DP","id":"6678157"},{"role":"SU","id":"3333333"}],"total":17,` +
			`"lines":[{"no":1,"sku":"0835201031","qty":2,"price":10.5},{"no":2,"sku":"0835202151","qty":10,"price":9.25},{"no":3,"sku":"0835208338","qty":5,"price":30}]}`},
		{"a count that is wrong by one", strings.Replace(whole(comma, "807"), "UNT+16", "UNT+15", 1),
			`rejected 0 of 1: 1 of 1 records are bad, none allowed|1/3 message "1": UNT counts "15" segments, there are 16`},
		{"CNT", strings.Replace(whole(smooks, "131"), "CNT+2:3", "CNT+2:4", 1), `rejected 0 of 1: 1 of 1 records are bad, none allowed|1/2 CNT does not count the lines`},
		{"decimal comma", strings.Replace(whole(comma, "807"), "QTY+21:8'", "QTY+21:4,5'", 1), `accepted 1 of 1: {"order":"801715918011","day":"201508030000","buyer":"8711576000012",` +
			`"parties":[{"role":"SU","id":"5020436000004"},{"role":"BY","id":"8711576000012"},{"role":"DP","id":"8711576100019"}],"total":12.5,` +
			`"lines":[{"no":1,"sku":"5020436373085","qty":4.5},{"no":2,"sku":"5020436373108","qty":8}]}`},
		{"decimal comma without UNA", strings.Replace(whole(smooks, "131"), "QTY+21:2'", "QTY+21:4,5'", 1),
			`rejected 0 of 1: 1 of 1 records are bad, none allowed|1/2 lines[1].qty is not a decimal number written with '.'`},
		{"no EDIFACT at all", sample(t, "edifact/smooks-proprietary-caret-order.edi"),
			`rejected 0 of 0: line 1, column 1: unexpected "HDR*1*0*59": an interchange begins with UNB, before which UNA may stand|0/1 line 1, column 1: unexpected "HDR*1*0*59": an interchange begins with UNB, before which UNA may stand`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := brief(t, p, c.text); got != c.want {
				t.Errorf("\n got %s\nwant %s", got, c.want)
			}
		})
	}
}

const ediJob = `
receive: {source: in, files: "*.edi"}
read: {format: edifact, fields: {no: {from: BGM.2, required: true}}}
send: [{to: erp, key: =no, body: {no: =no}}]
`

const ediFile = "UNB+UNOA:3+S+R+260131:1200+77'\nUNH+1+ORDERS'\nBGM+220+A-1'\nUNT+3+1'\nUNZ+1+77'\n"

// TestAnInterchangeThatIsCutOffIsHeldAndThenRejected: the whole file is a correction of it; what was cut off stays undelivered.
func TestAnInterchangeThatIsCutOffIsHeldAndThenRejected(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "orders", ediJob)
	part, _, _ := strings.Cut(ediFile, "UNZ")
	id := p.land1("o.edi", part)
	if e := p.work(id); e.State != ledger.Held || !strings.HasPrefix(e.Reason, incomplete) || e.Messages != 0 {
		t.Fatalf("%s: %s", e.State, e.Reason)
	}
	p.is(0, `SELECT count(*) FROM batches`)
	if e := p.work(p.land1("o.edi", ediFile)); e.State != ledger.Accepted || e.Verdict != ledger.Correction || e.Messages != 1 {
		t.Errorf("the whole file: %s, %s: %s", e.State, e.Verdict, e.Reason)
	}
	p.must(p.ledger.Approve(t.Context(), id, "anna"))
	if e := p.work(id); e.State != ledger.Rejected || !strings.Contains(e.Reason, "has no UNZ") {
		t.Errorf("approved: %s: %s", e.State, e.Reason)
	}
}

func TestAnIncompleteFileIsNotTurnedAwayAtTheDoor(t *testing.T) {
	t.Parallel()
	s := &Set{Plans: []*Plan{compile(t, ediJob)}}
	for text, want := range map[string]string{
		"UNB+UNOA:3+S": "",
		"ISA*00*":      `line 1, column 1: unexpected "ISA*00*": an interchange begins with UNB, before which UNA may stand; expected is EDIFACT`,
	} {
		if got := s.door("o.edi", text); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

func TestTheSenderOfAFileThatIsCutOffIsAskedToSendItAgain(t *testing.T) {
	t.Parallel()
	a := Acknowledgement{State: ledger.Held, Reason: incomplete + "line 1: no UNZ"}
	a.File.Name = "o.edi"
	if got := a.words(); got != "o.edi seems to have been cut off: send it again, whole. Reason: the file is incomplete: line 1: no UNZ." {
		t.Error(got)
	}
}
