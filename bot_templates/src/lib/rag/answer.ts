import type { Answer, Prompt } from '../model/chat.ts';
import { askModel } from '../model/chat.ts';
import { type CitedSentence, citedSentences, ground, type GroundedSentence } from '../model/grounding.ts';
import type { JsonSchema } from '../model/json-schema.ts';
import type { BotRun } from '../run.ts';
import type { Context } from './context.ts';
import { reasonToDropFromAnswer } from './guards.ts';
import type { RagQuestion } from './question.ts';

export const PROMPT: Prompt = {
  id: 'rag-answer',
  version: '1',
  system: `You answer a clinician's question about one patient from that patient's record, which is given as sources.
Answer in the language of the question, in as few plain sentences as it needs, the most recent first. Keep the record's own words.
Give values with unit and date, medications with dose and status, events with their date.
Each sentence states one thing and is true of the sources that it cites. Say that something is absent, denied or normal only where a source says so.
Name medicines, diagnoses and findings only as the sources name them. Do not judge, recommend, or compare with what is usual.
Of a series of values use the direction and the difference that are given there; do not work out others.
If the sources do not answer the question, answerable is false and sentences is empty. To say so is a good answer.`,
};

const MOST_SENTENCES = 12;

/** What the model must answer. */
export const ANSWER_SCHEMA: { name: string; schema: JsonSchema } = {
  name: 'rag_answer',
  schema: {
    type: 'object',
    properties: {
      answerable: { type: 'boolean', description: 'Whether the sources answer the question.' },
      sentences: citedSentences(MOST_SENTENCES, 'The answer. Empty when answerable is false.'),
    },
    required: ['answerable', 'sentences'],
    additionalProperties: false,
  },
};

/** A model's answer, as far as it stands. */
export interface GroundedAnswer {
  /** Empty: the question is refused. */
  kept: GroundedSentence[];
  /** Sentences that the model gave, kept or not. */
  given: number;
  answerable: boolean;
  warnings: string[];
  model: string;
  tokensUsed: Answer<unknown>['tokensUsed'];
}

/**
 * Asks the model, and keeps of its answer what its sources bear out.
 * @throws BotFailure LLM_ERROR, LLM_INVALID_OUTPUT, LLM_ROUTER_ERROR, PHI_ROUTE_BLOCKED, NOT_CONFIGURED
 */
export async function answerFrom(
  run: BotRun,
  question: RagQuestion,
  { sources, passages }: Context
): Promise<GroundedAnswer> {
  const { value, model, tokensUsed } = await askModel<{ answerable: boolean; sentences: CitedSentence[] }>(run, {
    task: 'rag_query',
    prompt: PROMPT,
    sources,
    question: question.question,
    schema: ANSWER_SCHEMA,
    temperature: question.temperature,
    maxTokens: question.maxTokens,
  });
  // Who says that there is no answer gives none, whatever sentences come with it.
  const { kept, warnings } = ground(value.answerable ? value.sentences : [], sources);
  const reasons = new Set<string>(warnings);
  const standing = kept.filter((sentence) => {
    const reason = reasonToDropFromAnswer(sentence, passages);
    if (reason !== undefined) {
      reasons.add(reason);
    }
    return reason === undefined;
  });
  return {
    kept: standing,
    given: value.sentences.length,
    answerable: value.answerable,
    warnings: [...reasons],
    model,
    tokensUsed,
  };
}

/**
 * The smaller of the share of sentences that stand and the mean similarity of the sources they cite; 0 without any.
 *
 * It is not calibrated: 0.8 does not mean that four of five such answers are right.
 */
export function confidenceOf({ kept, given }: GroundedAnswer, similarityOf: (sourceId: string) => number): number {
  const cited = [...new Set(kept.flatMap(({ sources }) => sources.map(({ id }) => id)))];
  if (cited.length === 0) {
    return 0;
  }
  const mean = cited.reduce((sum, id) => sum + similarityOf(id), 0) / cited.length;
  return Math.max(0, Math.min(1, kept.length / given, mean));
}
