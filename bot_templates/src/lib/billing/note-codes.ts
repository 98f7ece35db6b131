import { BotFailure } from '../failure.ts';
import { askModel, type Prompt } from '../model/chat.ts';
import type { JsonSchema } from '../model/json-schema.ts';
import { Sources } from '../model/sources.ts';
import type { BotRun } from '../run.ts';
import { evidenceFault, type Passage } from './evidence.ts';
import { ICD10CM, type Leaf, lookUp } from './icd10cm.ts';
import { type Note, passagesOf } from './notes.ts';
import { QUOTE_LIMITS } from './quote.ts';
import type { Candidate, Findings } from './suggestion.ts';

/** A model's word weighs less than a coding in the record, whatever it says of itself. */
export const NOTE_CONFIDENCE = 0.8;

export const PROMPT: Prompt = {
  id: 'billing-codes',
  version: '1',
  system: `You read the signed notes of one finished encounter and name the ICD-10-CM diagnosis codes that they document. A coder and a clinician check every code.
Your knowledge of ICD-10-CM is the one thing that you may add to the sources.
Name a code only for a condition that the clinician states as established for this patient and deals with in this encounter. Never for what is denied, ruled out, suspected, possible, in question, a reason for screening, past, or a relative's.
Give the code of full length for exactly what is written: where type, stage, side, severity or a complication is not written, the unspecified code. Never choose a code by what is paid for it.
As evidence copy the words that state the condition, letter by letter, from one source, at most 200 characters, and cite that source. A code without such words must be left out. An empty list is a good answer.`,
};

/** What the model must answer. */
export const SCHEMA: JsonSchema = {
  type: 'object',
  properties: {
    codes: {
      type: 'array',
      maxItems: 20,
      description: 'One entry a code; empty when the notes document no diagnosis.',
      items: {
        type: 'object',
        properties: {
          system: { type: 'string', enum: ['icd-10-cm'] },
          code: {
            type: 'string',
            pattern: '^(?:[A-Za-z][0-9][0-9A-Za-z]|[A-Za-z]{2}[0-9])\\.?[0-9A-Za-z]{0,4}$',
            description: 'An ICD-10-CM code of full length, such as E11.9.',
          },
          evidence: {
            type: 'string',
            maxLength: QUOTE_LIMITS.longest,
            description: 'The words of the cited source that state the condition, copied letter by letter.',
          },
          citations: {
            type: 'array',
            maxItems: 5,
            items: { type: 'string', maxLength: 20 },
            description: 'Ids of the sources that hold the evidence, such as S1.',
          },
          confidence: { type: 'number', minimum: 0, maximum: 1 },
        },
        required: ['system', 'code', 'evidence', 'citations', 'confidence'],
        additionalProperties: false,
      },
    },
  },
  required: ['codes'],
  additionalProperties: false,
};

interface ModelCode {
  code: string;
  evidence: string;
  citations: string[];
  confidence: number;
}

/** What the notes give; `model` is undefined where none was asked or none answered. */
export interface NoteFindings extends Findings {
  model: string | undefined;
}

/**
 * Asks the model for the codes that the notes document, and keeps those whose evidence holds.
 *
 * A model that is down or answers nonsense costs only its own codes: `LLM_UNAVAILABLE`, with the failure's own code.
 */
export async function noteDiagnoses(run: BotRun, notes: readonly Note[]): Promise<NoteFindings> {
  const sources = new Sources();
  const passages = new Map<string, Passage>();
  for (const note of notes) {
    for (const { text, heading } of passagesOf(note.text)) {
      const source = sources.add({ reference: note.reference, date: note.date, title: note.title, text });
      if (source) {
        passages.set(source.id, { text: source.text, heading });
      }
    }
  }
  if (passages.size === 0) {
    return { codes: [], refused: [], gaps: [], warnings: sources.warnings, model: undefined };
  }
  try {
    const { value, model } = await askModel<{ codes: ModelCode[] }>(run, {
      task: 'billing_codes',
      prompt: PROMPT,
      sources,
      question: 'Name the ICD-10-CM codes that these notes document.',
      schema: { name: 'billing_codes', schema: SCHEMA },
      // The same notes should give the same codes, so that finishing an encounter again changes nothing.
      temperature: 0,
      maxTokens: 3_000,
    });
    const findings = judged(value.codes, sources, passages);
    return { ...findings, warnings: [...sources.warnings, ...findings.warnings], model };
  } catch (error) {
    if (!(error instanceof BotFailure)) {
      throw error;
    }
    const more = error.code === 'LLM_ERROR' ? [] : [error.code];
    return {
      codes: [],
      refused: [],
      gaps: [],
      warnings: [...sources.warnings, 'LLM_UNAVAILABLE', ...more],
      model: undefined,
    };
  }
}

/** Judges each code that a model named; the reasons of those that go are warnings, each once. */
function judged(named: readonly ModelCode[], sources: Sources, passages: ReadonlyMap<string, Passage>): Findings {
  const findings: Findings = { codes: [], refused: [], gaps: [], warnings: [] };
  const warnings = new Set<string>();
  for (const each of named) {
    const found = lookUp(each.code);
    const cited = [...new Set(each.citations.map((id) => id.replace(/[[\]\s]/g, '').toUpperCase()))]
      .map((id) => sources.find(id))
      .filter((source) => source !== undefined);
    if (cited.length < each.citations.length) {
      warnings.add('UNKNOWN_CITATION');
    }
    const [source] = cited;
    if (found.kind === 'unknown') {
      // An invented code says nothing to anybody: it is not repeated.
      warnings.add('CODE_UNKNOWN');
    } else if (source === undefined) {
      warnings.add('CODE_WITHOUT_EVIDENCE');
    } else if (found.kind === 'category') {
      findings.refused.push({ code: found.code, reason: 'NOT_SPECIFIC', source: source.reference });
    } else {
      addLeaf(
        findings,
        found,
        each,
        cited.map((one) => ({ ...one, passage: passages.get(one.id) as Passage }))
      );
    }
  }
  if (findings.refused.length > 0) {
    warnings.add('CODE_REFUSED');
  }
  return { ...findings, warnings: [...warnings] };
}

/** One of the cited sources must hold the evidence. */
function addLeaf(
  findings: Findings,
  leaf: Leaf,
  { evidence, confidence }: ModelCode,
  cited: readonly { reference: string; passage: Passage }[]
): void {
  const faults = cited.map(({ passage }) => evidenceFault(evidence, passage, leaf));
  const holds = faults.indexOf(undefined);
  if (holds < 0) {
    const fault = faults.find((each) => each !== 'NOT_IN_SOURCE') ?? 'NOT_IN_SOURCE';
    findings.refused.push({ code: leaf.code, reason: fault, source: (cited[0] as { reference: string }).reference });
    return;
  }
  const candidate: Candidate = {
    system: ICD10CM,
    code: leaf.code,
    display: leaf.description,
    confidence: Math.min(NOTE_CONFIDENCE, confidence),
    source: 'note',
    evidence: [{ reference: (cited[holds] as { reference: string }).reference, quote: evidence.trim() }],
  };
  findings.codes.push(candidate);
}
