import type { Passage } from './evidence.ts';
import { headingAt } from './headings.ts';
import type { Place } from './quote.ts';
import { sentenceAround } from './sentence.ts';

/** Why a statement in a note is no diagnosis of this patient today. */
export type Doubt = 'NEGATED' | 'HISTORY' | 'FAMILY_HISTORY' | 'UNCERTAIN' | 'ABOUT_BILLING';

type Rules = readonly (readonly [Doubt, RegExp])[];

/** What speaks against a statement when it stands before it in its sentence. */
const BEFORE: Rules = [
  [
    'NEGATED',
    anyOf(
      'no|not|non|nor|never|none|neither|cannot|without|lacks?',
      'den(?:y|ies|ied|ying)|negative|neg|absent|absence|free of|unremarkable',
      'rules? out|ruled out|ruling out|r/o|exclud(?:e|es|ed|ing)|doubt(?:ful)?|unlikely',
      // A note in another language is seldom coded well; that it denies something must be seen all the same.
      'kein(?:e|en|er|em|es)?|ohne|nicht|ausschluss|niega|sin|descarta\\w{0,3}|pas de|sans|nega|sem'
    ),
  ],
  ['NEGATED', /n['’]t\b|não/],
  [
    'HISTORY',
    anyOf(
      'history|hx|h/o|pmh|pmhx|psh|previous(?:ly)?|prior|former(?:ly)?',
      'status post|s/p|resolved|remote|past|ago'
    ),
  ],
  [
    'UNCERTAIN',
    anyOf(
      'if|risk|screen(?:ed|ing)?|prevent(?:s|ion|ive)?|prophyla\\w{1,10}|vaccin\\w{1,10}',
      'return for|watch for|verdacht|sospecha'
    ),
  ],
];

/** The same when it stands after it. */
const AFTER: Rules = [
  [
    'NEGATED',
    anyOf(
      'rules? out|ruled out|excluded|unlikely|denied|negative|absent',
      'not (?:present|seen|found|confirmed|evident|identified|suspected|appreciated|noted)'
    ),
  ],
  ['HISTORY', anyOf('resolved|in the past|years? ago|months? ago|in childhood|as a child')],
];

/** The same wherever it stands in the sentence. */
const ANYWHERE: Rules = [
  [
    'FAMILY_HISTORY',
    anyOf(
      "(?:family|familial|fh|fhx|famhx|maternal|paternal|relative|parent|mother|father|mom|dad)(?:'s|s)?",
      "(?:brother|sister|sibling|son|daughter|aunt|uncle|cousin|grand(?:mother|father|parent))(?:'s|s)?"
    ),
  ],
  ['UNCERTAIN', /\?/],
  [
    'UNCERTAIN',
    anyOf(
      'possibl[ey]|possibility|probabl[ey]|suspect(?:s|ed|ing)?|suspicio(?:n|us)|likely|questionable|presum\\w{1,8}',
      'may (?:be|have|represent|reflect)|might|could|concern(?:ing|ed|s)? (?:for|about)|worrisome|equivocal|borderline',
      'consistent with|compatible with|suggest(?:s|ed|ive|ing)?|indicat(?:es|ive) of|differential|ddx|vs|versus|query',
      'evaluat(?:e|ion|ing) for|work-?up for|test(?:ed|ing)? for'
    ),
  ],
  [
    'ABOUT_BILLING',
    anyOf(
      'bill(?:s|ed|ing|able)?|reimburs\\w{1,8}|payments?|payers?|payors?|upcod\\w{1,4}|revenue|maximi[sz]\\w{1,6}',
      'drgs?|rvus?|coders?|insurance|code (?:this|it|as|for)'
    ),
  ],
];

/** Headings under which nothing is a diagnosis of today. */
const HEADINGS: Rules = [
  ['FAMILY_HISTORY', anyOf('family|fh|fhx')],
  ['HISTORY', anyOf('history(?! of present)|pmhx?|psh|hx')],
  ['UNCERTAIN', anyOf('differential|ddx|rule[ -]outs?|screening|possible|suspected|risks?|education')],
  ['NEGATED', anyOf('den(?:y|ies|ied)|negatives?|no')],
  ['ABOUT_BILLING', anyOf('billing|cod(?:ing|ers?)')],
];

function anyOf(...alternatives: string[]): RegExp {
  return new RegExp(`\\b(?:${alternatives.join('|')})\\b`);
}

/** What ends the reach of a word before a statement. */
const TURN = /;|\b(?:but|however|although|though|except)\b/;

/**
 * Whether a sentence asserts what a quote in it says, of this patient, today and without doubt.
 *
 * The rules are few and plain, and refuse too much rather than too little: a refused code is left to a person.
 * @param anchor - Where in the quote the condition is named: what stands before may negate it, what stands after
 * describes it, as in `diabetes without complications`.
 * @param meaning - The code's description; words of history, family, screening or risk that are its own are no doubt.
 * @returns The doubt; undefined when there is none.
 */
export function doubtOf(passage: Passage, place: Place, anchor: number, meaning: string): Doubt | undefined {
  const { text } = passage;
  const sentence = sentenceAround(text, place);
  const before =
    plain(text.slice(sentence.start, place.start + anchor))
      .split(TURN)
      .at(-1) ?? '';
  const after = plain(text.slice(place.start + anchor, sentence.end));
  const own = plain(meaning);
  return (
    firstOf(BEFORE, before, own) ??
    firstOf(AFTER, after, own) ??
    firstOf(ANYWHERE, plain(text.slice(sentence.start, sentence.end)), own) ??
    firstOf(HEADINGS, plain(headingAt(passage, place.start)), own)
  );
}

function firstOf(rules: Rules, text: string, own: string): Doubt | undefined {
  return rules.find(([doubt, words]) => {
    const found = words.exec(text)?.[0];
    return found !== undefined && !isOwn(doubt, found, own);
  })?.[0];
}

/** Whether a code means history, family or risk itself. */
function isOwn(doubt: Doubt, found: string, own: string): boolean {
  switch (doubt) {
    case 'HISTORY':
      return hasWords(own, 'history');
    case 'FAMILY_HISTORY':
      return hasWords(own, 'family');
    case 'UNCERTAIN':
      return hasWords(own, found);
    default:
      return false;
  }
}

function hasWords(text: string, words: string): boolean {
  const spaced = text.replace(/[^\p{L}\p{Nd}/-]+/gu, ' ');
  return ` ${spaced} `.includes(` ${words} `);
}

function plain(text: string): string {
  return text.normalize('NFKC').replace(/\s+/g, ' ').toLowerCase();
}

/**
 * Whether the words of a diagnosis say that it is uncertain: `rule out pneumonia`, `pneumonia?`, `probable`.
 * @param meaning - Descriptions of its codes; a word that is theirs is no doubt.
 */
export function isUncertain(words: string, meaning: string): boolean {
  return firstOf(DOUBTFUL, plain(words.slice(0, 500)), plain(meaning)) !== undefined;
}

const DOUBTFUL: Rules = [
  ...ANYWHERE.filter(([doubt]) => doubt === 'UNCERTAIN'),
  ['NEGATED', /\b(?:rules? out|r\/o)\b/],
];
