package jobs

import (
	"time"

	"go.yaml.in/yaml/v4"

	"waybill/formats"
	"waybill/formats/unpack"
	"waybill/jobs/convert"
)

// Options is one job as its configuration says it. The tags are those of package config.
type Options struct {
	Receive     *Receive      `yaml:"receive" doc:"which files start the job"`
	Schedule    *Schedule     `yaml:"schedule" doc:"when the job starts by itself; needs query"`
	Query       *Query        `yaml:"query" doc:"the rows that a scheduled job works on"`
	Identity    Identity      `yaml:"identity" doc:"what makes two files the same, and what becomes of each kind of repetition"`
	Unpack      []string      `yaml:"unpack" one:"true" enum:"gzip,zstd,bzip2,zip,tar,pgp,age" doc:"how to unpack a file before reading it, outermost first; each file of an archive (zip, tar) is a file of its own"`
	PGP         *unpack.PGP   `yaml:"pgp" doc:"keys for unpack: pgp"`
	Age         *unpack.Age   `yaml:"age" doc:"keys for unpack: age"`
	Members     []string      `yaml:"members" one:"true" doc:"paths of the files of an archive that are taken, in the terms of receive.files; left out: all"`
	Read        *Read         `yaml:"read" doc:"how bytes become records; none hands the bytes on untouched"`
	Check       Check         `yaml:"check" doc:"what must hold before anything is sent"`
	Send        []Send        `yaml:"send" required:"true" doc:"what goes where"`
	Acknowledge []Acknowledge `yaml:"acknowledge" doc:"how the partner who sent a file is told what became of it"`
	Approve     bool          `yaml:"approve" doc:"hold every entry until waybill approve"`
	Drain       bool          `yaml:"drain" doc:"take nothing new; finish what waits, then the job can be removed"`
	Formerly    string        `yaml:"formerly" doc:"the name it had before: its entries follow, identities and keys stay"`
	_           struct{}      `later:"expect,attach"`
}

// Receive says which files of which source belong to a job.
type Receive struct {
	Source    string        `yaml:"source" ref:"sources" required:"true" doc:"name of a source"`
	Files     []string      `yaml:"files" one:"true" default:"*" doc:"names that belong to the job: * any part of a name, ** any folders, ? one character, {day:%Y%m%d} a part kept as file.part.day"`
	Ignore    []string      `yaml:"ignore" one:"true" doc:"names that do not, even if files matches"`
	Companion *Companion    `yaml:"companion" doc:"the file that says that this one is complete, * standing for its name (*.done), and what it says"`
	Together  *Together     `yaml:"together" doc:"files that come for each file and are taken together with it"`
	Within    time.Duration `yaml:"within" doc:"together, and companion in mailboxes: after which time it is told that a file has not come; it is waited for on; left out: never"`
	_         struct{}      `later:"order"`
}

// Identity says what makes two files the same and what is done with each kind of repetition.
type Identity struct {
	By         string `yaml:"by" enum:"content,name,name+content,name+size+mtime" default:"content" doc:"what identifies a file"`
	Redelivery string `yaml:"redelivery" enum:"process,skip,hold,reject" default:"skip" doc:"same name and bytes as an earlier file"`
	Suspect    string `yaml:"suspect" enum:"process,skip,hold,reject" default:"hold" doc:"same bytes under another name"`
	Correction string `yaml:"correction" enum:"process,skip,hold,reject" default:"process" doc:"same name with other bytes"`
	Empty      string `yaml:"empty" enum:"process,skip,hold,reject" default:"process" doc:"a file without records"`
}

// Read says how the bytes of a file become records.
type Read struct {
	Short           string `yaml:",scalar" enum:"none" doc:"none: the bytes go on as they are"`
	formats.Options `yaml:",inline"`

	Within *time.Duration `yaml:"within" doc:"edifact, avro: how long a file that was cut off is held for the whole one; then it is rejected; 24h when left out, 0s: for ever"`

	Convert *convert.Options `yaml:"convert" doc:"a program that makes of the file, unpacked, what format reads"`

	Decimal   string   `yaml:"decimal" doc:"decimal mark of numbers written as text, a point by default"`
	Thousands []string `yaml:"thousands" one:"true" doc:"marks between thousands, taken out of numbers written as text"`
	Zone      string   `yaml:"zone" as:"zone" doc:"zone of dates that name none; left out: the configuration's"`
	Records   Records  `yaml:"records" doc:"which parts of the file are records, or a mapping of the kinds of records it holds"`
	Fields    []Field  `yaml:"fields" doc:"the fields of a record by name; left out: the record is what the format gives"`
	Only      string   `yaml:"only" as:"expression" doc:"which records count; the others are skipped, not rejected"`
	Group     *Group   `yaml:"group" doc:"consecutive rows with the same key become one record"`
	Header    *Section `yaml:"header" doc:"what stands once before the records; header.NAME in every expression and template"`
	Trailer   *Section `yaml:"trailer" doc:"what stands once behind the records; trailer.NAME in check.file and acknowledge"`
	Block     *Block   `yaml:"block" doc:"records stand in blocks, each with a header and a trailer of its own"`
	Totals    []Total  `yaml:"totals" doc:"figures over the records; totals.NAME in check.block, check.file and acknowledge"`
}

// Field is one field of a record.
type Field struct {
	Name      string   `yaml:",key"`
	From      []string `yaml:"from" one:"true" doc:"where it stands (csv, xlsx: column title; json, xml: path; fixed: columns, 7-12; edifact: segment, element and component, QTY[21].1.2); of several, the first that is there; left out: the field's name"`
	Column    string   `yaml:"column" doc:"csv, xlsx: letter or number of the column instead of its title"`
	Type      string   `yaml:"type" enum:"string,integer,decimal,number,boolean,date,time,datetime,bytes,list,object,raw" doc:"what it holds; left out: string, or what value gives"`
	Format    string   `yaml:"format" doc:"date, time, datetime: how it is written, in strftime's terms"`
	Zone      string   `yaml:"zone" as:"zone" doc:"datetime: zone of a text that names none"`
	Required  *bool    `yaml:"required" doc:"a record without it is rejected; false by default, true in a header or trailer"`
	Default   string   `yaml:"default" doc:"value of a field that is not there"`
	Min       string   `yaml:"min" doc:"least value"`
	Max       string   `yaml:"max" doc:"greatest value"`
	Length    string   `yaml:"length" doc:"number of characters, or of elements: 5, 1..20, ..20"`
	Pattern   string   `yaml:"pattern" doc:"regular expression (RE2) that the text must match"`
	OneOf     []string `yaml:"one_of" one:"true" doc:"the values it may have"`
	Trim      bool     `yaml:"trim" default:"true" doc:"take white space off both ends"`
	Empty     string   `yaml:"empty" enum:"absent,text" default:"absent" doc:"what an empty text is: nothing there, or a text of no characters"`
	TrueIs    []string `yaml:"true_is" one:"true" doc:"boolean: texts that mean true"`
	FalseIs   []string `yaml:"false_is" one:"true" doc:"boolean: texts that mean false"`
	Decimal   string   `yaml:"decimal" doc:"decimal mark of this field"`
	Thousands []string `yaml:"thousands" one:"true" doc:"marks between thousands in this field"`
	Value     string   `yaml:"value" as:"value" doc:"computed from the fields above it instead of read"`
	Scale     int      `yaml:"scale" doc:"decimal: how many of the digits, which are written without a mark, stand behind it: with 2, 12345 is 123.45"`
	Sign      string   `yaml:"sign" enum:"overpunch" doc:"integer, decimal: where the sign is: overpunch (the last digit bears it: { A to I are +0 to +9, } J to R are -0 to -9)"`
	Century   int      `yaml:"century" doc:"date, datetime: the first of the hundred years that %y stands for: with 1970, 69 is 2069; left out: 1969"`
	Kind      string   `yaml:"kind" doc:"list: the kind of the lines that follow a record at once and become the elements of this list"`
	Fields    []Field  `yaml:"fields" doc:"list, object: its own fields"`
}

// Group makes one record of consecutive rows.
type Group struct {
	By    []string `yaml:"by" one:"true" required:"true" doc:"fields whose values keep rows together"`
	Into  string   `yaml:"into" required:"true" doc:"name of the list that the rows become"`
	Take  []string `yaml:"take" one:"true" required:"true" doc:"fields that go into the list; the others must agree in all rows"`
	Apart string   `yaml:"apart" enum:"reject,process" default:"reject" doc:"what to do with rows whose key was there before, further up"`
}

// Check says what must hold before anything is sent.
type Check struct {
	AllowRejects Allowance `yaml:"allow_rejects" default:"0" doc:"how many bad records a file may have (10, or 1%) and still be accepted without them"`
	Unique       *Unique   `yaml:"unique" doc:"a key that occurs once"`
	Record       []Rule    `yaml:"record" doc:"what must be true of each record"`
	Block        []Claim   `yaml:"block" doc:"what must be true of each block; else its records are rejected"`
	File         []Claim   `yaml:"file" doc:"what must be true of the file as a whole; else it is rejected"`
	Sequence     *Sequence `yaml:"sequence" doc:"files, or blocks, that come numbered without gaps"`
}

// Unique says that a key occurs once for a time.
type Unique struct {
	Key   []string      `yaml:"key" one:"true" required:"true" as:"value" doc:"the key"`
	Of    string        `yaml:"of" doc:"the kind of records it is the key of, where read.records names kinds"`
	For   time.Duration `yaml:"for" default:"90d" doc:"how long a key is remembered"`
	Same  string        `yaml:"same" enum:"skip,process,reject" default:"skip" doc:"the key again with the same content"`
	Other string        `yaml:"other" enum:"reject,process,skip" default:"reject" doc:"the key again with other content"`
}

// Rule is one check of a record.
type Rule struct {
	That string `yaml:"that" required:"true" as:"expression" doc:"what must be true"`
	Say  string `yaml:"say" required:"true" doc:"what the reject report says when it is not"`
	For  string `yaml:"for" doc:"the kind of records it is about, where read.records names kinds"`
}

// Claim is one check of a file or of a block.
type Claim struct {
	That string `yaml:"that" required:"true" as:"expression" doc:"what must be true"`
	Say  string `yaml:"say" required:"true" doc:"what the reject report says when it is not"`
}

// Acknowledge says when and how the sender of a file is told what became of it.
type Acknowledge struct {
	After  []string  `yaml:"after" one:"true" enum:"accepted,rejected,held,duplicate" required:"true" doc:"what the sender is told: accepted (read, checked and mapped whole), rejected, held (a person decides), duplicate (skipped)"`
	To     string    `yaml:"to" enum:"sender" required:"true" doc:"sender: a file in the mailbox of the partner who sent the file"`
	Folder string    `yaml:"folder" default:"out" doc:"folder of the mailbox"`
	Name   string    `yaml:"name" as:"template" doc:"name of the acknowledgement, {file.stem}.{entry.number}.ack.json by default (.xml, .txt as it is laid out); of a name that is taken it gets a number"`
	Exists string    `yaml:"exists" enum:"number" default:"number" doc:"what to do when the name is taken"`
	Body   yaml.Node `yaml:"body" as:"node" doc:"a tree in the shape of the output; left out: the shape that docs/partners.md describes"`

	As         string            `yaml:"as" enum:"json,xml,form,text" default:"json" doc:"how it is laid out"`
	Root       string            `yaml:"root" doc:"xml: name of the element around all, acknowledgement by default"`
	Namespaces map[string]string `yaml:"namespaces" doc:"xml: prefixes of names, and the namespaces they stand for; \"\" is for names without a prefix"`
	Encoding   string            `yaml:"encoding" doc:"xml, text: utf-8 (default) or any that is read"`
	Unmappable string            `yaml:"unmappable" doc:"text: a character that the encoding lacks: reject (default) or replace, by a question mark"`

	_ struct{} `later:"each,columns,open_for,revise,delimiter"`
}

// Schedule says when a job starts by itself.
type Schedule struct {
	Cron    string   `yaml:"cron" required:"true" doc:"minute, hour, day of month, month, day of week"`
	Zone    string   `yaml:"zone" as:"zone" doc:"zone of the clock it goes by; left out: the configuration's"`
	CatchUp string   `yaml:"catch_up" enum:"last,none,all" default:"last" doc:"which of the missed instants are made up for"`
	Overlap string   `yaml:"overlap" enum:"wait,skip" default:"wait" doc:"what to do when the one before still runs"`
	_       struct{} `later:"calendar"`
}

// Query says which rows a scheduled job works on.
type Query struct {
	Connection string   `yaml:"connection" ref:"connections" required:"true" doc:"name of a connection"`
	SQL        string   `yaml:"sql" required:"true" doc:"the query; :from and :to are the window's ends, half-open"`
	Window     *Window  `yaml:"window" doc:"the span of time a tick works on"`
	_          struct{} `later:"http"`
}

// Window says which span of time a tick works on.
type Window struct {
	Period string        `yaml:"period" default:"tick" doc:"length: tick (since the last one), day, week, month, or a duration"`
	Lag    time.Duration `yaml:"lag" doc:"how long rows need to appear"`
	Back   time.Duration `yaml:"back" doc:"how far a window overlaps the one before"`
	Key    string        `yaml:"key" as:"value" doc:"what tells rows of overlapping windows apart"`
}
