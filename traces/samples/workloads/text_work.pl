#!/usr/bin/perl
# Text work on the first N of perl's own modules: word index, sub table, reformatted documentation, similar lines.
use strict;
use warnings;
use Config;
use File::Find;

my @files;
find( { wanted => sub { push @files, $_ if /\.pm$/ }, no_chdir => 1, follow => 1 }, $Config{privlib} );
@files = ( sort @files )[ 0 .. $ARGV[0] - 1 ];

my %words;
my %subs;
my @lines;
my %sections;

for my $file (@files) {
    open my $in, '<', $file or die "$file: $!";
    my ( $package, $is_pod, $section ) = ( 'main', 0, '' );
    while ( my $line = <$in> ) {
        chomp $line;
        $package = $1 if $line =~ /^\s*package\s+([\w:]+)/;
        if ( my ( $directive, $title ) = $line =~ /^=(\w+)\s*(.*)/ ) {
            $is_pod  = $directive ne 'cut';
            $section = "$package $title" if $directive =~ /^head/;
            next;
        }
        if ($is_pod) {
            ( my $plain = $line ) =~ s/[BCIFL]<([^<>]*)>/$1/g;
            push @{ $sections{$section} }, $plain if length $plain;
        }
        elsif ( $line =~ /^\s*sub\s+(\w+)/ ) {
            push @{ $subs{$package} }, { name => $1, file => $file, line => $. };
        }
        for my $word ( map { lc } $line =~ /([A-Za-z_]\w{2,})/g ) {
            my $entry = $words{$word} ||= { count => 0, files => {} };
            $entry->{count}++;
            $entry->{files}{$file}++;
        }
        push @lines, $line if $line =~ /\S/;
    }
    close $in;
}

# Paragraphs wrapped to 60 columns.
my $wrapped = 0;
for my $name ( sort keys %sections ) {
    my $out = '';
    my $row = '';
    for my $word ( map { split ' ' } @{ $sections{$name} } ) {
        if ( length($row) + length($word) > 60 ) { $out .= "$row\n"; $row = ''; $wrapped++; }
        $row .= ( length $row ? ' ' : '' ) . $word;
    }
    $sections{$name} = "$out$row\n";
}

# Lines that are the same but for numbers and blanks.
my %alike;
for my $line (@lines) {
    my $key = join ' ', map { /^\d+$/ ? 'N' : $_ } split /\s+|(?=[(),;])/, $line;
    push @{ $alike{$key} }, $line;
}
my @repeated = sort { @{ $alike{$b} } <=> @{ $alike{$a} } || $a cmp $b } grep { @{ $alike{$_} } > 3 } keys %alike;
my @common   = sort { $words{$b}{count} <=> $words{$a}{count} || $a cmp $b } keys %words;
printf "%d words, %d packages, %d rows, %d repeated, most common: %s\n", scalar keys %words, scalar keys %subs, $wrapped,
    scalar @repeated, join ' ', @common[ 0 .. 4 ];
