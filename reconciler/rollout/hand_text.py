r"""The hand of a shell that stays: a Perl process that does for it what a shell can only start programs for. Text only.

A process costs a node more than anything else about a run, and of those that a run took most only made one system call: they
lock, make folders, flush and remove. Others wait: for output, for the end of a step, for its time. The hand does these itself.
What a run is, and when it may begin, decides the shell alone; it asks for one thing at a time, and does it by programs where
the hand says no, is not there (no perl, another processor, a kernel before 5.3), or was killed.

An order is a line of words with tabs between them: `PID.NUMBER VERB WORD...`, taken in the current folder of process PID. The
answer begins with the same first word, so that nobody takes what was said to another.

    flock FD                  `yes`, `no`: lock what that process has open there (pidfd_getfd: also its own children's, until the last closes it)
    mkdir -p FOLDER...        with what leads to them
    sync FILE...              on disk
    size FILE                 in bytes
    rm -rf RUN[/FILE]...      with what is below; follows no links
    run FOLDER STEP SECONDS BYTES HOME
                              begins STEP/launch in a session of its own: `PID STARTTIME`, as in STEP/pid, and at its end `STATUS`. Keeps BYTES each of
                              STEP/out and STEP/err, and reads on where a child of its has them open still

`unable` to any of them: nothing happened that may not happen twice; of `run`, nothing at all.
"""

from typing import Final

HAND: Final = r"""
use strict;
use Config ();
my ($setsid, $fsync, $clock) = @{{ x86_64 => [112, 74, 228], aarch64 => [157, 82, 113] }->{ ($Config::Config{archname} =~ /^([^-]+)-/)[0] } || exit };
my ($pidfd_open, $pidfd_getfd) = (434, 438);
{ open my $process, "<&=", syscall($pidfd_open, $$ + 0, 0) or exit }
$0 = "reconciler: does what its shell asks for";
$SIG{HUP} = $SIG{PIPE} = $SIG{XFSZ} = "IGNORE";
umask 077;

my ($orders, $step, @streams, $is_over) = ("");
while (!$is_over || $step || @streams) {
    my $now = now();
    vec(my $ready, 0, 1) = !$is_over;
    my @wakes;
    if ($step && !defined $step->{status}) {
        vec($ready, fileno $step->{process}, 1) = 1;
        push @wakes, $step->{ends};
    } elsif ($step) {
        push @wakes, $step->{leaves};
    }
    for (@streams) {
        if ($_->{rests} > $now) { push @wakes, $_->{rests} } else { vec($ready, fileno $_->{from}, 1) = 1 }
    }
    my ($wake) = sort { $a <=> $b } @wakes;
    select($ready, undef, undef, defined $wake ? $wake > $now ? $wake - $now : 0 : undef) >= 0 or $ready = "";
    take_orders() if vec $ready, 0, 1;
    @streams = grep { !vec($ready, fileno $_->{from}, 1) || take($_) } @streams;
    look_after($ready) if $step;
}

sub now {
    my $told = pack "q2";
    syscall $clock, 1, $told;
    my ($seconds, $rest) = unpack "q2", $told;
    return $seconds + $rest / 1e9;
}

sub answer { # TAG WORDS
    syswrite STDOUT, "@_\n";
}

sub take_orders {
    sysread(STDIN, $orders, 65536, length $orders) or return $is_over = 1;
    while ($orders =~ s/^(.*)\n//) {
        my ($tag, $verb, @words) = split /\t/, $1;
        my ($asker) = $tag =~ /^([0-9]+)\./ or next;
        my $do = { hello => sub { "yes" }, size => sub { -s $_[2] }, flock => \&lock_it, mkdir => \&make, sync => \&flush_it, rm => \&clear, run => \&run }->{$verb};
        # One order at a time: whoever gave the one for a step that is still at work was killed. Its answer will be nobody's.
        my $said = $do && !$step && chdir("/proc/$asker/cwd") ? $do->($asker, $tag, @words) : undef;
        answer $tag, defined $said ? $said : "unable";
        chdir "/";
    }
}

sub lock_it {
    my ($asker, $tag, $number) = @_;
    my $process = syscall $pidfd_open, $asker + 0, 0;
    return if $process < 0;
    open my $held, "<&=", $process or return;
    my $copy = syscall $pidfd_getfd, $process, $number + 0, 0;
    return if $copy < 0;
    open my $file, ">>&=", $copy or return;
    return "yes" if flock $file, 6;
    return $! == 11 ? "no" : undef;
}

sub make {
    my ($asker, $tag, $option, @folders) = @_;
    for (@folders) {
        my $path = "";
        for (m{(/*[^/]+)}g) {
            $path .= $_;
            -d $path or mkdir $path or return;
        }
    }
    return "yes";
}

sub flush_it {
    my ($asker, $tag, @files) = @_;
    for (@files) {
        sysopen my $file, $_, 0 or return;
        syscall($fsync, fileno $file) == 0 or return;
    }
    return "yes";
}

sub clear {
    my ($asker, $tag, $option, @names) = @_;
    # Of runs alone, by their names here; what leads anywhere else is no name.
    m{^(\.old\.[0-9a-f]{64}\.[0-9]+|[0-9a-f]{64})(/[^/]+)*$} && !m{/\.\.?(/|$)} && remove($_) or return for @names;
    return "yes";
}

sub remove { # NAME: true once it is gone
    my ($name) = @_;
    my @seen = lstat $name or return $! == 2;
    return unlink $name unless -d _;
    my @here = lstat "." or return;
    # Inside we are in the folder that we looked at, or nowhere: nobody leads us elsewhere by a link put in its place.
    chdir $name or return;
    my @there = lstat ".";
    my $are_gone = @there && $there[0] == $seen[0] && $there[1] == $seen[1] && opendir my $entries, ".";
    if ($are_gone) {
        for (readdir $entries) {
            next if $_ eq "." || $_ eq "..";
            $are_gone = remove($_) or last;
        }
    }
    chdir join "/", ("..") x (1 + ($name =~ tr{/}{})) or return;
    my @back = lstat ".";
    return $are_gone && @back && $back[0] == $here[0] && $back[1] == $here[1] && rmdir $name;
}

sub run {
    my ($asker, $tag, $folder, $place, $seconds, $bytes, $home) = @_;
    opendir my $at, "." or return;
    my @found;
    for my $name ("out", "err") {
        open my $to, ">>", "$place/$name" or return;
        pipe my $from, my $into or return;
        push @found, { from => $from, into => $into, to => $to, room => $bytes - (-s $to), rests => 0, dropped => 0 };
    }
    pipe my $waits, my $lets_go or return;
    my $pid = fork;
    return unless defined $pid;
    if (!$pid) {
        # Nothing of the step runs before somebody will hear of its end.
        close $lets_go;
        sysread $waits, my $word, 1 or exit;
        syscall $setsid;
        $SIG{HUP} = $SIG{PIPE} = $SIG{XFSZ} = "DEFAULT";
        open STDIN, "<", "/dev/null";
        open STDOUT, ">&", $found[0]{into};
        open STDERR, ">&", $found[1]{into};
        %ENV = (PATH => $ENV{PATH}, HOME => $home);
        exec "sh", "$folder/$place/launch";
        exit 127;
    }
    delete $_->{into} for @found;
    my $number = syscall $pidfd_open, $pid, 0;
    open my $process, "<&=", $number or undef $lets_go, waitpid($pid, 0), return;
    my $began = 0;
    if (open my $stat, "<", "/proc/$pid/stat") {
        $began = (split " ", (<$stat> =~ /.*\) (.*)/)[0])[19];
    }
    # There before anything of the step runs: whoever asked may be killed by now.
    my $note = sub { open my $known, ">", "$place/pid" or return; syswrite $known, "$pid $began\n" };
    $note->() or open(my $room, ">", "reserve") && $note->() or undef $lets_go, waitpid($pid, 0), return;
    syswrite $lets_go, "1";
    $step = {
        tag => $tag, pid => $pid, began => $began, process => $process, at => $at, place => $place, streams => [@found],
        ends => now() + $seconds,
    };
    push @streams, @found;
    return "$pid $began";
}

sub take { # STREAM: false once it is closed
    my ($stream) = @_;
    my $count = sysread $stream->{from}, my $bytes, 65536;
    if (!$count) {
        delete $stream->{from};
        return;
    }
    my $kept = $count < $stream->{room} ? $count : $stream->{room};
    for (my $at = 0; $at < $kept;) {
        my $written = syswrite $stream->{to}, $bytes, $kept - $at, $at;
        $written or $stream->{room} = $kept = 0;  # a full disk: what comes now is dropped as well
        $at += $written || 0;
    }
    $stream->{room} -= $kept;
    # Paced beyond the limit: `yes` for an hour must not take a processor from the node.
    if (($stream->{dropped} += $count - $kept) > 1048576) {
        @$stream{"dropped", "rests"} = (0, now() + 0.05);
    }
    return 1;
}

sub look_after {
    my ($ready) = @_;
    if (!defined $step->{status} && vec $ready, fileno $step->{process}, 1) {
        waitpid $step->{pid}, 0;
        $step->{status} = $? & 127 ? 128 + ($? & 127) : $? >> 8;
        waitpid $step->{ender}, 0 if $step->{ender};
        # A child that keeps the output open gets a second, and goes on alone after that.
        $step->{leaves} = now() + 1;
    }
    if (defined $step->{status}) {
        return if now() < $step->{leaves} && grep { $_->{from} } @{ $step->{streams} };
        answer $step->{tag}, $step->{status};
        undef $step;
    } elsif (now() >= $step->{ends}) {
        $step->{ends} = now() + 1;
        # One that could not begin, or was killed, is followed by another.
        return if $step->{ender} && waitpid($step->{ender}, 1) == 0;
        $step->{ender} = fork;
        if (defined $step->{ender} && !$step->{ender}) {
            open STDIN, "<", "/dev/null";
            open STDOUT, ">", "/dev/null";
            chdir $step->{at};
            exec "sh", "-c", $time_over, "sh", $step->{pid}, $step->{began}, $step->{place};
            exit 127;
        }
    }
}
"""
"""The hand itself, with `$time_over`: the sh program that ends a step whose time is over. Its words are PID STARTTIME STEP."""

ASK: Final = r"""
hand=
tab='	'
line_feed='
'
asked_for=0
ask() { # VERB WORD...: sets said; 1 where the hand is unable, 2 where it was lost, and what it did is not known
    [ -n "$hand" ] || return 1
    case $* in *"$tab"* | *"$line_feed"*) return 1 ;; esac
    own_name
    asked_for=$((asked_for + 1))
    order=$self.$asked_for
    for word in "$@"; do
        order="$order$tab$word"
    done
    # What could not be told was not heard: an order counts with its end of line.
    printf '%s\n' "$order" 2>/dev/null >&4 || { hand=; return 1; }
    hear || { hand=; return 2; }
    [ "$said" != unable ]
}
hear() { # sets said to what the hand says to our last order
    while read -r tag said 2>/dev/null <&5; do
        [ "$tag" != "$self.$asked_for" ] || return 0
    done
    return 1
}
begin_hand() {
    command -v perl >/dev/null 2>&1 && here_pipes || return 0
    # Where a shell of its own wrote the text, that one is its child.
    perl -e 'open my $text, "<&=", 7; ($_, my $time_over) = split /^=over\n/m, join "", <$text>; close $text; wait; eval' \
        <&3 >&6 2>/dev/null 3<&- 4>&- 5<&- 6>&- 7<<X &
$hand_text
=over
$runner_text
pid=\$1
began=\$2
step=\$3
end_in_time
X
    exec 3<&- 6>&-
    # What it does not hear any more is not to end us.
    trap '' PIPE
    hand=1
    ask hello && [ "$said" = yes ] || { hand=; exec 4>&- 5<&-; }
}
# What shells have by programs alone. Each of these may be done twice.
! command -v flock >/dev/null 2>&1 || flock() {
    ask flock "$2" || { command flock "$@"; return; }
    [ "$said" = yes ]
}
mkdir() {
    { [ "$1" = -p ] && ask mkdir "$@"; } || command mkdir "$@"
}
sync() {
    ask sync "$@" || command sync "$@"
}
rm() {
    { [ "$1" = -rf ] && ask rm "$@"; } || command rm "$@"
}
begin_hand
self=
"""
"""How a shell asks it: functions in place of programs, for a shell that stays. Needs `hand_text`, and the runner's functions."""
