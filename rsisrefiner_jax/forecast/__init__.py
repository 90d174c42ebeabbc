"""What is left of a layer: clicks and hours, from what the finished objects of a project took.

efforts reads that from the project, remaining says what is left, estimate how much it will take.
"""
