import type { GroundedSentence } from '../model/grounding.ts';
import { CLINICIAN, encounterText } from './context.ts';
import { DOCUMENT_TYPES } from './document-types.ts';
import { lineText } from './line.ts';
import type { Narrative, NarrativeSection } from './narrative.ts';
import type { Part } from './objective.ts';
import type { NoteRecord } from './record.ts';
import type { DraftRequest, Referral } from './request.ts';

/** What stands where nobody has said anything. */
export const PLACEHOLDER = '[CLINICIAN TO COMPLETE]';

/** A section of words: the clinician's, to the letter, then what a model wrote from sources. */
export interface Words {
  clinician: string | undefined;
  sentences: readonly GroundedSentence[];
}

/** A document before it is laid out. */
export interface Note {
  title: string;
  /** Kind, time and reason of the encounter. */
  encounter: string;
  referral: Referral | undefined;
  subjective: Words;
  objective: {
    parts: readonly Part[];
    /** The clinician's words. A model never writes an examination. */
    exam: string | undefined;
  };
  assessment: Words;
  plan: Words;
}

/** One statement of the document and what bears it out. */
export interface Evidence {
  section: 'subjective' | 'objective' | 'assessment' | 'plan';
  text: string;
  /** `Type/id`, or `clinician`. */
  sources: string[];
}

export function noteOf(
  request: DraftRequest,
  record: NoteRecord,
  parts: readonly Part[],
  narrative: Narrative
): Note {
  const words = (section: NarrativeSection): Words => ({
    clinician: request.clinician[section],
    sentences: narrative.sentences[section],
  });
  return {
    title: DOCUMENT_TYPES[request.type].display,
    encounter: encounterText(record.encounter),
    referral: request.referral,
    subjective: words('subjective'),
    objective: { parts, exam: request.clinician.exam },
    assessment: words('assessment'),
    plan: words('plan'),
  };
}

/** Every statement of the document, in its order. */
export function evidenceOf(note: Note): Evidence[] {
  return [
    ...ofWords('subjective', note.subjective),
    ...note.objective.parts.flatMap(({ lines }) =>
      lines.map((line) => ({ section: 'objective' as const, text: lineText(line), sources: [line.source] }))
    ),
    ...ofClinician('objective', note.objective.exam),
    ...ofWords('assessment', note.assessment),
    ...ofWords('plan', note.plan),
  ];
}

function ofWords(section: NarrativeSection, { clinician, sentences }: Words): Evidence[] {
  return [
    ...ofClinician(section, clinician),
    ...sentences.map(({ text, sources }) => ({
      section,
      text,
      sources: [...new Set(sources.map(({ reference }) => reference))],
    })),
  ];
}

function ofClinician(section: Evidence['section'], text: string | undefined): Evidence[] {
  return text === undefined ? [] : [{ section, text, sources: [CLINICIAN] }];
}

/**
 * The share of the narrative's statements that stand: the clinician's texts, and those sentences of the model that
 * their sources bear out, against all that there were. 0 where nobody said anything. Not calibrated: it says how much
 * of the model's writing was dropped, not how often such a document is right.
 */
export function confidenceOf(note: Note, dropped: number): number {
  const { subjective, objective, assessment, plan } = note;
  const texts = [subjective.clinician, objective.exam, assessment.clinician, plan.clinician];
  const sentences = [subjective, assessment, plan].reduce((sum, words) => sum + words.sentences.length, 0);
  const standing = texts.filter((text) => text !== undefined).length + sentences;
  return standing === 0 ? 0 : Math.round((standing / (standing + dropped)) * 100) / 100;
}
