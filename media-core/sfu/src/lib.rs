//! The sans-IO media core: admission, rooms, participants, slots, selection.
