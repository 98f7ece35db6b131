import { askModel, type Prompt } from '../model/chat.ts';
import { type CitedSentence, citedSentences, ground, type GroundedSentence } from '../model/grounding.ts';
import type { JsonSchema } from '../model/json-schema.ts';
import type { Sources } from '../model/sources.ts';
import type { BotRun } from '../run.ts';
import { CLINICIAN, clinicianTitle } from './context.ts';
import { DOCUMENT_TYPES } from './document-types.ts';
import { reasonToDropFromNote } from './guards.ts';
import type { DraftRequest } from './request.ts';

/** The sections that a model may write in. The objective section is none of them. */
export const NARRATIVE_SECTIONS = ['subjective', 'assessment', 'plan'] as const;
export type NarrativeSection = (typeof NARRATIVE_SECTIONS)[number];

/** What a model wrote, as far as it stands. */
export interface Narrative {
  sentences: Record<NarrativeSection, GroundedSentence[]>;
  /** Sentences that were dropped for a reason of the warnings. */
  dropped: number;
  warnings: string[];
  /** As the router names it; undefined when no model was asked. */
  model: string | undefined;
}

export const PROMPT: Prompt = {
  id: 'documentation',
  version: '1',
  system: `You draft the narrative sections of a clinical document for a clinician, who will check and sign it.
Write what the sources say, in plain clinical sentences, in the language of the sources, and keep their own words for findings, medicines and doses.
subjective: what the patient or the clinician reports of complaints and history.
assessment: the problems of this encounter, as the sources state them.
plan: what the sources say was decided or ordered. Propose nothing of your own.
Never write a finding of a physical examination, a denial ("no chest pain"), a medicine, a dose or a judgement that is not in a source that you cite.
A section about which the sources say nothing is an empty list.`,
};

const MOST_SENTENCES = 12;

/** What the model must answer. */
export const NARRATIVE_SCHEMA: { name: string; schema: JsonSchema } = {
  name: 'clinical_document',
  schema: {
    type: 'object',
    properties: {
      subjective: citedSentences(MOST_SENTENCES, 'Complaints and history, as reported. Empty when not documented.'),
      assessment: citedSentences(MOST_SENTENCES, 'The problems, as the sources state them. Empty when not documented.'),
      plan: citedSentences(MOST_SENTENCES, 'What was decided or ordered. Empty when not documented.'),
    },
    required: ['subjective', 'assessment', 'plan'],
    additionalProperties: false,
  },
};

/**
 * Has the model write the narrative sections, and keeps the sentences that their sources bear out.
 *
 * Without any source no model is asked.
 * @throws BotFailure LLM_ERROR, LLM_INVALID_OUTPUT, LLM_ROUTER_ERROR, PHI_ROUTE_BLOCKED, NOT_CONFIGURED
 */
export async function writeNarrative(run: BotRun, request: DraftRequest, sources: Sources): Promise<Narrative> {
  const narrative: Narrative = {
    sentences: { subjective: [], assessment: [], plan: [] },
    dropped: 0,
    warnings: [],
    model: undefined,
  };
  if (sources.all.length === 0) {
    return { ...narrative, warnings: ['NO_CONTEXT'] };
  }
  const { display } = DOCUMENT_TYPES[request.type];
  const answer = await askModel<Record<NarrativeSection, CitedSentence[]>>(run, {
    task: 'documentation',
    prompt: PROMPT,
    sources,
    question: `Write the subjective, assessment and plan of a document of this kind: ${display}.`,
    schema: NARRATIVE_SCHEMA,
    // The same record is to give the same draft, so that saving it again adds none.
    temperature: 0,
    maxTokens: 2_500,
  });
  const warnings = new Set<string>();
  for (const section of NARRATIVE_SECTIONS) {
    const given = answer.value[section];
    const grounded = ground(given, sources);
    for (const warning of grounded.warnings) {
      warnings.add(warning);
    }
    const kept = grounded.kept.filter((sentence) => {
      const reason = reasonToDropFromNote(sentence);
      if (reason !== undefined) {
        warnings.add(reason);
      }
      return reason === undefined;
    });
    narrative.dropped += given.length - kept.length;
    narrative.sentences[section] = kept.filter((sentence) => !repeatsClinician(sentence, section));
  }
  return { ...narrative, warnings: [...warnings], model: answer.model };
}

/** The clinician's words stand in their section already. */
function repeatsClinician({ sources }: GroundedSentence, section: NarrativeSection): boolean {
  return sources.every(({ reference, title }) => reference === CLINICIAN && title === clinicianTitle(section));
}
