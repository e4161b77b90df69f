"""A prompt without its soft slots: what the untuned model is asked."""

from dataclasses import replace

from tunewright.prompts.segments import Prompt, Soft, Text


def without_slots(prompt: Prompt) -> Prompt:
    """Slots started from words become those words again; all others are left out."""
    if not any(isinstance(segment, Soft) for segment in prompt.segments):
        return prompt
    segments = []
    for segment in prompt.segments:
        if not isinstance(segment, Soft):
            segments.append(segment)
        elif segment.words:
            segments.append(Text(segment.words))
    return replace(prompt, segments=tuple(segments))
